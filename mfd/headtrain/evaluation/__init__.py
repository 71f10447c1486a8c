"""From a trained head to masks on images, pictures and COCO AP."""
