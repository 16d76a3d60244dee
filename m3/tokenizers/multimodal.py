"""The tokenizer of a whole observation. A new modality is one more entry of ``_tokenizer``."""

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from m3.config.schema import ImageTokenizerSettings, Own
from m3.errors import UserError
from m3.python_files import make_own
from m3.specs import Modality, ModalitySpec, ObservationSpec
from m3.tokenizers.base import ImageTokenizer, ModalityTokenizer, TokenSpec, ViewSpec
from m3.tokenizers.discrete import TokenTokenizer, VectorTokenizer
from m3.tokenizers.image_fsq import FSQTokenizer
from m3.tokenizers.image_vq import VQTokenizer


def _own(spec: ModalitySpec, settings: ImageTokenizerSettings) -> ImageTokenizer:
    """Make the image tokenizer that a file of the user's defines."""
    assert isinstance(settings.quantizer, Own)
    made: ImageTokenizer = make_own(settings.quantizer, ImageTokenizer, "tokenizer.quantizer.model", spec, settings)
    return made


IMAGE_TOKENIZERS: Mapping[str, Callable[[ModalitySpec, ImageTokenizerSettings], ImageTokenizer]] = {
    "vq": VQTokenizer,
    "fsq": FSQTokenizer,
    "own": _own,
}
"""By the kind that ``tokenizer.quantizer`` names."""


def _tokenizer(modality: str, spec: ModalitySpec, image: ImageTokenizerSettings | None) -> ModalityTokenizer:
    match Modality(modality):
        case Modality.IMAGE:
            if image is None:
                raise UserError("the environment shows images: the settings need a `tokenizer` section")
            return IMAGE_TOKENIZERS[image.quantizer.kind](spec, image)
        case Modality.VECTOR:
            return VectorTokenizer(spec)
        case Modality.TOKEN | Modality.TOKEN_2D:
            return TokenTokenizer(spec)


class Tokenizer(nn.Module):
    """One tokenizer per modality, in the order in which their tokens enter a block."""

    def __init__(self, spec: ObservationSpec, image: ImageTokenizerSettings | None) -> None:
        super().__init__()
        self.modalities = nn.ModuleDict({name: _tokenizer(name, m, image) for name, m in spec.modalities.items()})

    def _items(self) -> list[tuple[str, ModalityTokenizer]]:
        return [(name, module) for name, module in self.modalities.items() if isinstance(module, ModalityTokenizer)]

    @property
    def tokens(self) -> dict[str, TokenSpec]:
        """Token layout of each modality."""
        return {name: module.tokens for name, module in self._items()}

    @property
    def views(self) -> dict[str, ViewSpec]:
        """What the policy sees of each modality."""
        return {name: module.view for name, module in self._items()}

    @property
    def codebooks(self) -> dict[str, Tensor]:
        """Code vectors of the modalities that have them."""
        return {name: module.codebook for name, module in self._items() if module.codebook is not None}

    @property
    def image(self) -> ImageTokenizer | None:
        """The only tokenizer that is trained, where there are images."""
        return next((module for _, module in self._items() if isinstance(module, ImageTokenizer)), None)

    def encode(self, observations: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Encode raw observations, modality -> (..., *shape), of some or all modalities: tokens int64 (..., K, C)."""
        return {name: module.encode(observations[name]) for name, module in self._items() if name in observations}

    def decode(self, tokens: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Decode tokens into what the policy sees."""
        return {name: module.decode(tokens[name]) for name, module in self._items()}

    def reconstruct(self, tokens: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Tokens to raw observations: what is left of those that were encoded."""
        return {name: module.reconstruct(tokens[name]) for name, module in self._items()}
