#include "client/data/find_tokenizer.h"

#include <sys/stat.h>

#include <vector>

#include "absl/strings/str_cat.h"
#include "client/data/dataset_manifest.h"
#include "common/file.h"
#include "common/ids.h"
#include "common/status.h"

namespace cherry::client {

absl::StatusOr<std::string> FindTokenizer(const std::string& data_root, const std::string& name) {
  struct stat info;
  const bool there = stat(name.c_str(), &info) == 0;
  if (there && !S_ISDIR(info.st_mode)) {
    return name;
  }
  std::vector<std::string> candidates;
  if (there) {
    candidates.push_back(absl::StrCat(name, "/", kDatasetTokenizerFile));
  }
  if (ValidateName(name, "tokenizer").ok()) {
    candidates.push_back(absl::StrCat(data_root, "/", name, "/", kDatasetTokenizerFile));
  }
  for (const std::string& candidate : candidates) {
    if (Exists(candidate)) {
      return candidate;
    }
  }
  return Error(absl::StatusCode::kNotFound, "TOKENIZER_NOT_FOUND", "tokenizer",
               absl::StrCat("tokenizer: no tokenizer.json at '", name, "'"),
               "give a tokenizer.json, its directory, or the name of a dataset");
}

}  // namespace cherry::client
