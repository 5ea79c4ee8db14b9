"""The network: one class, every architecture a configuration of it."""

from ebm_core.nets.network import EnergyNetwork, NetConfig

__all__ = ["EnergyNetwork", "NetConfig"]
