"""The notebook of the documentation: run, with its outputs kept in it, and shown as a page.

    python tools/notebook.py      # runs docs/notebook.ipynb and writes its outputs

mkdocs takes this file as a hook, which makes a page of the notebook.
"""

import ast
import base64
import contextlib
import io
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

NOTEBOOK = Path(__file__).parents[1] / "docs" / "notebook.ipynb"


def run(notebook: dict[str, Any], folder: Path, values: dict[str, Any] | None = None) -> None:
    """Run the code cells in order within a folder, and keep in each what it prints and shows.

    Args:
        values: of names that the notebook sets, which are given these in their place.
    """
    names: dict[str, Any] = {}
    with contextlib.chdir(folder):
        for number, cell in enumerate(code_cells(notebook), start=1):
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                shown = _evaluate("".join(cell["source"]), names)
            names |= {name: value for name, value in (values or {}).items() if name in names}
            cell["execution_count"] = number
            cell["outputs"] = _outputs(printed.getvalue(), shown, number)


def code_cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    """The cells that are run."""
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def _evaluate(source: str, names: dict[str, Any]) -> Any:
    """Run a cell; the value of its last line, if that is an expression."""
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "notebook", "exec"), names)
    if not isinstance(last, ast.Expr):
        return None
    return eval(compile(ast.Expression(last.value), "notebook", "eval"), names)


def _outputs(printed: str, shown: Any, number: int) -> list[dict[str, Any]]:
    outputs: list[dict[str, Any]] = []
    if printed:
        lines = printed.splitlines(keepends=True)
        outputs.append({"name": "stdout", "output_type": "stream", "text": lines})
    if shown is not None:
        data: dict[str, Any] = {"text/plain": [str(shown)]}
        if isinstance(shown, Image.Image):
            content = io.BytesIO()
            shown.save(content, "JPEG", quality=85)
            data = {
                "image/jpeg": base64.b64encode(content.getvalue()).decode(),
                "text/plain": ["a picture"],
            }
        result = {"output_type": "execute_result", "execution_count": number, "metadata": {}}
        outputs.append({**result, "data": data})
    return outputs


def as_markdown(notebook: dict[str, Any]) -> str:
    """The notebook as a page: its text, its code, and what that printed and showed."""
    parts: list[str] = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if "image/jpeg" in data:
                parts.append(f"![The picture](data:image/jpeg;base64,{data['image/jpeg']})")
            else:
                text = "".join(output.get("text") or data["text/plain"]).rstrip()
                parts.append(f"```text\n{text}\n```")
    return "\n\n".join(parts) + "\n"


def on_files(files: Any, config: Any) -> Any:
    """mkdocs' hook: add the notebook's page."""
    from mkdocs.structure.files import File

    content = as_markdown(json.loads(NOTEBOOK.read_text(encoding="utf-8")))
    files.append(File.generated(config, "notebook.md", content=content))
    return files


def main() -> None:
    """Run the notebook and write it with its outputs."""
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    os.environ["COLUMNS"] = "100"
    with tempfile.TemporaryDirectory() as folder:
        run(notebook, Path(folder))
    text = json.dumps(notebook, indent=1, ensure_ascii=False)
    NOTEBOOK.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
