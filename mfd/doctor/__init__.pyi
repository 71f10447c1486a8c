from .examine import examine as examine
