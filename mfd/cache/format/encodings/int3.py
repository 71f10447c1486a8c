"""Maps in eight levels, packed as those of `int4`: three bits of every four are used.

A codec makes up for the fourth: with `--codec zstd` the maps of a real detector take 2.4 bits a
value.
"""

from mfd.cache.format.encodings.int4 import PackedEncoding

ENCODING = PackedEncoding("int3", levels=8)
