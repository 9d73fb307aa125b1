// The streams that people watch: a job, events, logs. Each is woken by changes and has one write in flight.
#ifndef CHERRY_COORDINATOR_API_WATCH_STREAMS_H_
#define CHERRY_COORDINATOR_API_WATCH_STREAMS_H_

#include <grpcpp/grpcpp.h>

#include "cherry/v1/coordinator.pb.h"
#include "coordinator/api/services.h"

namespace cherry::coordinator {

// Each owns itself until its call is done. The request lives as long as the call.
grpc::ServerWriteReactor<v1::WatchJobResponse>* MakeWatchJob(const Services& services,
                                                             grpc::CallbackServerContext* context,
                                                             const v1::WatchJobRequest* request);
grpc::ServerWriteReactor<v1::Event>* MakeWatchEvents(const Services& services,
                                                     grpc::CallbackServerContext* context,
                                                     const v1::WatchEventsRequest* request);
grpc::ServerWriteReactor<v1::ReadLogsResponse>* MakeReadLogs(const Services& services,
                                                             grpc::CallbackServerContext* context,
                                                             const v1::ReadLogsRequest* request);

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_API_WATCH_STREAMS_H_
