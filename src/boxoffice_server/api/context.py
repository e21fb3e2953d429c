"""The type of a call's context, whatever its method."""

from typing import Any, TypeAlias

import grpc

# Generic for type checkers only.
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
