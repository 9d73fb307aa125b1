// The jobs that a spec names, by where it names them.
//
// Pure functions, thread-safe.
#ifndef CHERRY_COORDINATOR_CORE_REFERENCES_H_
#define CHERRY_COORDINATOR_CORE_REFERENCES_H_

#include <functional>
#include <string>

#include "cherry/v1/job.pb.h"

namespace cherry::coordinator {

// Calls `visit` with each reference that names a job and its path in the job file: "from", "sgt.reference",
// "evaluate.models[1]", ...
void ForEachReference(v1::JobSpec* spec,
                      const std::function<void(const std::string& field, v1::SourceRef* ref)>& visit);

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_CORE_REFERENCES_H_
