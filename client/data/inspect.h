// Text back from tokens, to see what a model will see. Thread-safe.
#ifndef CHERRY_CLIENT_DATA_INSPECT_H_
#define CHERRY_CLIENT_DATA_INSPECT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/data/dataset_manifest.h"

namespace cherry::client {

struct TextSample {
  std::string split;
  int64_t document = 0;
  int64_t tokens = 0;
  std::string text;  // At most about 400 bytes, cut between characters.
};

// `per_split` documents of each split, evenly spaced, decoded with the dataset's tokenizer. With `marks` each
// labelled span stands as "[F span]": F for a fact, R for a reason, C for a correction.
absl::StatusOr<std::vector<TextSample>> SampleDocuments(const std::string& directory,
                                                        const DatasetManifest& manifest, int per_split,
                                                        bool marks = false);

// The first characters of a text: at most `bytes` bytes, and whole characters.
std::string CutText(absl::string_view text, size_t bytes);

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_DATA_INSPECT_H_
