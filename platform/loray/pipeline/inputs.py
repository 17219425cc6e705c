"""Whether a stage's inputs stayed what its fingerprint says while it was made."""

from loray.data import source_stamps
from loray.errors import ArtifactError
from loray.pipeline.recipe import Recipe, dataset_recipe, training_inputs
from loray.spec.run import RunSpec


class InputWatch:
    """Compares the inputs of a stage before and after it was made.

    A corpus that is edited while it is read would give rows of one content under the digest of
    another; so would a base model that is overwritten.
    """

    def __init__(self, spec: RunSpec, recipe: Recipe) -> None:
        """Note what the inputs are now.

        Args:
            recipe: of the stage that is about to be made.
        """
        self._spec = spec
        self._recipe = recipe
        self._stamps = self._stamps_now()

    def check(self) -> None:
        """Refuse what was made where an input is no longer what the plan saw.

        Raises:
            ArtifactError: an input changed; names it.
        """
        kind = self._recipe.stage.kind
        now, before = self._read_now(), self._recipe.inputs
        changed = {key for key, digest in now.items() if before.get(key) != digest}
        stamps = self._stamps_now()
        changed |= {k for k in self._stamps | stamps if self._stamps.get(k) != stamps.get(k)}
        if changed:
            raise ArtifactError(
                f"inputs of the {kind} changed while it was being made: "
                f"{', '.join(sorted(changed))}; nothing was kept: apply again once nobody writes "
                "to them"
            )

    def _read_now(self) -> dict[str, str]:
        """Digests of what the stage reads from outside the store."""
        spec, kind = self._spec, self._recipe.stage.kind
        if kind == "dataset":
            return dataset_recipe(spec).inputs
        if kind == "training":
            return training_inputs(spec)
        return {}

    def _stamps_now(self) -> dict[str, tuple[int, int]]:
        """Of a dataset's sources, so that an edit that was undone in the meantime is seen too."""
        return source_stamps(self._spec.data) if self._recipe.stage.kind == "dataset" else {}
