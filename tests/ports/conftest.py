from tests.ports.devices import real_devices, reopen

__all__ = ("real_devices", "reopen")
