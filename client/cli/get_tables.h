// The tables of `cherry get`. Pure but for the clock (ages), thread-safe.
#ifndef CHERRY_CLIENT_CLI_GET_TABLES_H_
#define CHERRY_CLIENT_CLI_GET_TABLES_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "cherry/v1/resources.pb.h"
#include "client/cli/output.h"

namespace cherry::client {

// A row for each item, in order. `ns`: jobs of other namespaces are shown as NAMESPACE/JOB.
Table JobTable(const std::vector<v1::Job>& jobs, absl::string_view ns, bool wide);
// `names` as the command line takes them, one for each.
Table PipelineTable(const std::vector<v1::Pipeline>& pipelines, const std::vector<std::string>& names);
Table WorkerTable(const std::vector<v1::Worker>& workers, absl::string_view ns, bool wide);
// `names` as checkpoint references, one for each.
Table CheckpointTable(const std::vector<v1::Checkpoint>& checkpoints, const std::vector<std::string>& names,
                      bool wide);
Table DatasetTable(const std::vector<v1::Dataset>& datasets, bool wide);
Table ModelTable(const std::vector<v1::Model>& models, const std::vector<std::string>& names, bool wide);
Table PresetTable(const std::vector<v1::Preset>& presets);
Table AttemptTable(const v1::Job& job);

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_CLI_GET_TABLES_H_
