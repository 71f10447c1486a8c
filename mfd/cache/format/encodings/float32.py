"""Maps in single precision: what most detectors compute, for values beyond float16."""

from mfd.cache.format.encodings.encoding import Encoding

ENCODING = Encoding("float32")
