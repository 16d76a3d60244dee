"""VQ-VAE tokenizer of images: a learned codebook (M3 section 3.1 and appendix)."""

from torch import Tensor, nn
from torch.nn import functional as F

from m3.config.schema import ImageTokenizerSettings
from m3.nn.precision import full_precision
from m3.specs import ModalitySpec
from m3.tokenizers.autoencoder import Autoencoder, Quantised


class VQTokenizer(Autoencoder):
    """A latent becomes the nearest of the learned codes. The decoder begins with a batch norm."""

    def __init__(self, spec: ModalitySpec, settings: ImageTokenizerSettings) -> None:
        super().__init__(spec, settings, nn.BatchNorm2d)
        self.codes = nn.Embedding(settings.vocabulary, settings.code_size)
        bound = 1 / settings.vocabulary
        nn.init.uniform_(self.codes.weight, -bound, bound)

    @property
    def codebook(self) -> Tensor:
        """(vocabulary, code_size), without gradient."""
        return self.codes.weight.detach()

    def latent_tokens(self, latents: Tensor) -> Tensor:
        """Find the nearest code by squared distance, in float32: (N, code_size, h, w) -> int64 (N, h*w)."""
        flat = latents.float().flatten(2).transpose(1, 2)
        codes = self.codebook.float()
        # |z|^2 is the same for all codes of a latent, so it does not change the nearest one.
        with full_precision(flat.device):
            distances = (codes**2).sum(-1) - 2 * flat @ codes.T
        return distances.argmin(-1)

    def quantise(self, latents: Tensor) -> Quantised:
        """The nearest codes, through which the gradient passes straight; codes and latents are drawn together."""
        indices = self.latent_tokens(latents)
        codes = self.codes(indices).transpose(1, 2).reshape(latents.shape)
        commitment = F.mse_loss(codes, latents.detach()) + F.mse_loss(latents, codes.detach())
        return Quantised(latents + (codes - latents).detach(), {"commitment": commitment})
