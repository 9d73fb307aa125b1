// Precompiled for the files that speak gRPC.
#ifndef CHERRY_CMAKE_PCH_GRPC_H_
#define CHERRY_CMAKE_PCH_GRPC_H_

#include <grpcpp/grpcpp.h>

#include "cherry/v1/coordinator.grpc.pb.h"
#include "cherry/v1/worker.grpc.pb.h"
#include "cmake/pch/base.h"

#endif  // CHERRY_CMAKE_PCH_GRPC_H_
