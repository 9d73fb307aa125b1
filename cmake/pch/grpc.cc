#include "cmake/pch/grpc.h"
