"""Maps in half precision, the default: relative error 2e-4, range up to 65504."""

from mfd.cache.format.encodings.encoding import Encoding

ENCODING = Encoding("float16")
