"""Count the sizes of all presets anew and write them down, for `mfd presets`.

python -m tools.count_presets
"""

import json

from mfd.headtrain.presets.paper import COUNTED, presets
from mfd.headtrain.presets.sizes import Size, head_size


def counted() -> dict[str, Size]:
    """The size of each preset for the detector and the boxes that its table has."""
    return {
        name: head_size(preset.config, preset.spec, num_boxes=preset.num_boxes)
        for name, preset in presets().items()
    }


if __name__ == "__main__":
    lines = (f"{json.dumps(name)}: {json.dumps(size)}" for name, size in counted().items())
    COUNTED.write_text("{\n" + ",\n".join(lines) + "\n}\n")
