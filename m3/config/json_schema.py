"""JSON schemas of the files in config/, with which editors complete keys, show their meaning and mark mistakes.

``python -m m3.config.json_schema`` writes them to config/schemas.
"""

import json
from typing import Any

from m3.config.base import Settings
from m3.config.experiment import Benchmark, Experiment, Run, Variant
from m3.config.loading import CONFIG_FOLDER
from m3.config.schema import RunSettings

FILES: dict[str, type[Settings]] = {"benchmark": Benchmark, "experiment": Experiment, "variant": Variant}
"""Name of the schema -> what such a file holds."""


def schema_text(name: str) -> str:
    """Return the schema of one of ``FILES``, as JSON."""
    partial = _without_required(RunSettings.model_json_schema())
    for key in (*Run._fields, "training_version", "command"):
        del partial["properties"][key]
    schema = FILES[name].model_json_schema()
    schema["$defs"] = schema.get("$defs", {}) | partial.pop("$defs") | {"PartialSettings": partial}
    text = json.dumps(schema, indent=1, sort_keys=True) + "\n"
    return text.replace('"$comment": "PartialSettings"', '"$ref": "#/$defs/PartialSettings"')


def _without_required(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {key: _without_required(value) for key, value in schema.items() if key != "required"}
    return [_without_required(item) for item in schema] if isinstance(schema, list) else schema


def main() -> None:
    folder = CONFIG_FOLDER / "schemas"
    folder.mkdir(exist_ok=True)
    for name in FILES:
        (folder / f"{name}.json").write_text(schema_text(name), encoding="utf-8")


if __name__ == "__main__":
    main()
