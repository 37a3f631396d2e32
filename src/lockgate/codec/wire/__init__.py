"""Generated protobuf modules; `tools/generate_proto.py` writes them from `schemas/proto`.

Field numbers are those of the standards, package names are ours, so that no other package's
descriptors collide. Type URLs are constants in `lockgate.codec.type_urls`.
"""
