from .folder import save_folder as save_folder
from .hub import SCHEME as SCHEME
from .hub import fetch as fetch
from .hub import push as push
