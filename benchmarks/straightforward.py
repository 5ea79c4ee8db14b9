"""The baseline to divide by: the same network and the same numbers, written without a thought for speed.

Norms as InstanceNorm modules, weights standardised in every pass, parameters that ask for gradients throughout,
augmentations image by image on the host, a replay buffer of NumPy images, one optimiser call per parameter.
"""

import copy

import numpy as np
import torch
from torch import Tensor, nn
from torchvision import transforms

from ebm_core.contrastive import contrastive_divergence, energy_penalty
from ebm_core.nets import EnergyNetwork
from train.config import TrainConfig
from train.losses import entropy, sampler_energy


def straightforward(net: EnergyNetwork) -> EnergyNetwork:
    """A trainable copy with the same energies, whose per-channel norms are InstanceNorm modules, in float32."""
    plain = copy.deepcopy(net).requires_grad_(True)
    plain.bf16 = False
    for parent in list(plain.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.GroupNorm) and child.num_groups == child.num_channels:
                norm = nn.InstanceNorm2d(child.num_channels, eps=child.eps, affine=True).to(child.weight.device)
                norm.load_state_dict(child.state_dict(), strict=False)
                setattr(parent, name, norm)
    return plain


def step(net: nn.Module, x: Tensor, step_size: float, noise_std: float) -> Tensor:
    """One Langevin step."""
    x = (x + noise_std * torch.randn_like(x)).requires_grad_()
    (grad,) = torch.autograd.grad(net(x).sum(), x)
    return (x - step_size * grad).clamp(0, 1).detach()


class Training:
    """Algorithm 1 with host-side data handling, batch by batch."""

    def __init__(self, net: EnergyNetwork, images: Tensor, config: TrainConfig, device: str) -> None:
        self.net, self.config, self.device = straightforward(net), config, device
        self.images, self.buffer = images, [image.numpy() for image in images[: config.icd.entropy_past]]
        self.average = copy.deepcopy(self.net)
        self.optimiser = torch.optim.Adam(self.net.parameters(), lr=2e-4, betas=(0.0, 0.9), foreach=False)
        s = config.plan.transition.jitter_strength
        self.augment = transforms.Compose(
            [
                transforms.RandomResizedCrop(images.shape[2], scale=(config.plan.transition.crop_min_scale, 1)),
                transforms.RandomHorizontalFlip(),
                transforms.RandomApply([transforms.ColorJitter(0.8 * s, 0.8 * s, 0.8 * s, 0.4 * s)], p=0.8),
                transforms.RandomGrayscale(0.2),
                transforms.RandomApply([transforms.GaussianBlur(5)], p=0.5),
            ]
        )
        self.rng = np.random.default_rng(0)

    def iteration(self) -> None:
        c = self.config.icd
        chosen = self.rng.choice(len(self.images), c.batch_size)
        x_pos = torch.stack([(self.images[i] + torch.rand(self.images[i].shape)) / 256 for i in chosen]).to(self.device)
        past = [self.buffer[i] for i in self.rng.choice(len(self.buffer), c.batch_size)]
        x = torch.stack([self.augment(torch.from_numpy(image).float() / 255) for image in past]).to(self.device)
        fresh = torch.rand(x.shape, generator=torch.Generator()).to(self.device)
        x = torch.where(torch.rand(len(x), 1, 1, 1, device=self.device) < c.reinit_prob, fresh, x)
        langevin = self.config.plan.langevin
        for _ in range(c.steps - 1):
            x = step(self.net, x, langevin.step_size, langevin.noise_std)
        x = (x + langevin.noise_std * torch.randn_like(x)).requires_grad_()
        (grad,) = torch.autograd.grad(self.net(x).sum(), x, create_graph=True)
        x_tilde = (x - langevin.step_size * grad).clamp(0, 1)
        e_pos, e_neg = self.net(x_pos), self.net(x_tilde.detach())
        chosen = self.rng.choice(len(self.buffer), c.entropy_past)
        past_x = torch.stack([torch.from_numpy(self.buffer[i]).float() / 255 for i in chosen]).to(self.device)
        loss = (
            contrastive_divergence(e_pos, e_neg)
            + c.opt_weight * sampler_energy(self.net, x_tilde)
            - c.entropy_weight * entropy(x_tilde, past_x)
            + c.penalty_weight * energy_penalty(e_pos, e_neg)
        )
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), 0.5)
        self.optimiser.step()
        for own, other in zip(self.average.parameters(), self.net.parameters(), strict=True):
            own.data = 0.999 * own.data + 0.001 * other.data
        self.buffer.extend((255 * x_tilde.detach().cpu()).byte().numpy())
        self.buffer = self.buffer[-c.buffer_size :]
        float(loss.detach())
