from .device import pick_device as pick_device
from .project import choice_of as choice_of
from .project import complete as complete
from .project import open_dataset as open_dataset
from .project import open_detector as open_detector
from .project import open_store as open_store
from .project import open_store_of as open_store_of
from .validation import open_validation as open_validation
