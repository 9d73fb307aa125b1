// Nothing but the owner of the precompiled header.
#include "worker/kernels/torch_pch.h"
