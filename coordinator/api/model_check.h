// What a registered model is, as its files tell. Thread-safe.
#ifndef CHERRY_COORDINATOR_API_MODEL_CHECK_H_
#define CHERRY_COORDINATOR_API_MODEL_CHECK_H_

#include <string>

#include "absl/status/status.h"
#include "cherry/v1/resources.pb.h"

namespace cherry::coordinator {

// Reads the manifest of `model`'s directory beneath `checkpoint_root` and fills in what it says: uid, config,
// bytes, hashes. Every file that it names must be there in its length. MODEL_NOT_THERE, MODEL_DAMAGED,
// PATH_LEAVES_ROOT.
absl::Status ReadModelFiles(const std::string& checkpoint_root, v1::Model* model);

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_API_MODEL_CHECK_H_
