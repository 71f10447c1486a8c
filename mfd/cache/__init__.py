from mfd.detector import ImageFeatures as ImageFeatures
