// The service WorkerGateway: one stream for each worker. Reports go to the core, directives come back.
#ifndef CHERRY_COORDINATOR_API_GATEWAY_H_
#define CHERRY_COORDINATOR_API_GATEWAY_H_

#include <grpcpp/impl/codegen/service_type.h>

#include <memory>

#include "coordinator/api/services.h"

namespace cherry::coordinator {

// Borrows what `services` points to. Thread-safe.
std::unique_ptr<grpc::Service> MakeWorkerGateway(const Services& services);

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_API_GATEWAY_H_
