"""Maps as whole multiples of one step for all their channels: few values, for a codec to pack.

    value = stored * step,    step = 0.8 * root mean square of the map

A channel gets as many bits as it says more than the step: of all ways to spend a sum of squared
errors on independent channels this takes the fewest (reverse water-filling; Cover and Thomas,
Elements of Information Theory, section 10.3.3). Eight bits before the codec, which is given one
channel after the other, about two after it.
"""

from mfd.cache.format.encodings.int8 import Int8Encoding

ENCODING = Int8Encoding("coarse", step=0.8)
