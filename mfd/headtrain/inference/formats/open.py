"""Which class writes which format."""

from collections.abc import Callable

from mfd.headtrain.inference.formats.coco import Coco
from mfd.headtrain.inference.formats.format import Target, Writer
from mfd.headtrain.inference.formats.labelme import Labelme
from mfd.headtrain.inference.formats.names import Format
from mfd.headtrain.inference.formats.pictures import Pictures
from mfd.headtrain.inference.formats.png import Png
from mfd.headtrain.inference.formats.yolo import Yolo

FORMATS: dict[Format, Callable[[Target], Writer]] = {
    "pictures": Pictures,
    "coco": Coco,
    "yolo": Yolo,
    "labelme": Labelme,
    "png": Png,
}
