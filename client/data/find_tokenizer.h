// A tokenizer that is there already. Thread-safe.
#ifndef CHERRY_CLIENT_DATA_FIND_TOKENIZER_H_
#define CHERRY_CLIENT_DATA_FIND_TOKENIZER_H_

#include <string>

#include "absl/status/statusor.h"

namespace cherry::client {

// The tokenizer.json that `name` means: a file, a directory with one, or a dataset beneath `data_root`.
// TOKENIZER_NOT_FOUND.
absl::StatusOr<std::string> FindTokenizer(const std::string& data_root, const std::string& name);

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_DATA_FIND_TOKENIZER_H_
