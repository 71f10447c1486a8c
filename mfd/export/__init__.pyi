from .write import write_export as write_export
