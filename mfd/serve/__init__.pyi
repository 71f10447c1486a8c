from .app import Limits as Limits
from .app import make_app as make_app
from .run import serve as serve
