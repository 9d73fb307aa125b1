// The service Cherry: each call is admitted, handed to the executor, and answered after its sync.
#ifndef CHERRY_COORDINATOR_API_CHERRY_SERVICE_H_
#define CHERRY_COORDINATOR_API_CHERRY_SERVICE_H_

#include <grpcpp/impl/codegen/service_type.h>

#include <memory>

#include "coordinator/api/services.h"

namespace cherry::coordinator {

// Borrows what `services` points to. Thread-safe.
std::unique_ptr<grpc::Service> MakeCherryService(const Services& services);

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_API_CHERRY_SERVICE_H_
