// A tokenizer that is there already. Thread-safe.
#ifndef CHERRY_CLIENT_DATA_FIND_TOKENIZER_H_
#define CHERRY_CLIENT_DATA_FIND_TOKENIZER_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/tokenizer/tokenizer_cc.h"

namespace cherry::client {

// Ends a document, in every tokenizer that Cherry takes.
inline constexpr char kEndOfText[] = "</s>";
inline constexpr int32_t kEndOfTextId = 2;

// The tokenizer.json that `name` means: a file, a directory with one, or a dataset beneath `data_root`.
// TOKENIZER_NOT_FOUND.
absl::StatusOr<std::string> FindTokenizer(const std::string& data_root, const std::string& name);

// TOKENIZER_UNSUPPORTED, naming `path`, where kEndOfText is not kEndOfTextId.
absl::Status CheckEndOfText(const Tokenizer& tokenizer, const std::string& path);

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_DATA_FIND_TOKENIZER_H_
