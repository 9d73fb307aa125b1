// manifest.json of a dataset: what it was made of, and what its files must be.
//
// A dataset is a directory beneath the data root: SPLIT.bin and SPLIT.idx for each split, SPLIT.labels where
// its tokens are labelled, tokenizer.json, manifest.json. The manifest holds no time, so the same input gives
// the same bytes. Thread-safe.
#ifndef CHERRY_CLIENT_DATA_DATASET_MANIFEST_H_
#define CHERRY_CLIENT_DATA_DATASET_MANIFEST_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "cherry/v1/resources.pb.h"
#include "client/data/control.h"
#include "client/data/corpus.h"
#include "client/data/text_source.h"

namespace cherry::client {

inline constexpr char kDatasetManifestFile[] = "manifest.json";
inline constexpr char kDatasetTokenizerFile[] = "tokenizer.json";

struct DatasetManifest {
  int format = 1;
  std::string code_version;
  // As it is registered. `path` and `manifest_hash` follow from where the file lies and what it holds; the
  // file does not repeat them.
  v1::Dataset dataset;
  // Of the text behind the tokens, one for each split; 0 where the tokens came ready-made.
  std::vector<int64_t> text_bytes;
  bool tokenizer_trained = false;
  double valid_share = 0;
  int line_characters = 0;
  TextOptions text;
  bool chat = false;  // Documents are conversations.
  // Of the rules: what part of the letters each language has, and the most documents that a rare stem stands
  // in.
  std::vector<double> letter_shares;
  int64_t rare_stem_documents = 0;
  std::vector<InputRecord> inputs;
  CorpusCounts counts;
  // What a control (`dataset.control`) left of each split; nothing without one.
  int64_t control_seed = 0;
  std::vector<ControlSurvival> survival;
};

// "letters 97.2 % ko, 1.3 % en"; empty without rules.
std::string LettersText(const DatasetManifest& manifest);

std::string DatasetManifestToJson(const DatasetManifest& manifest);
// kDataLoss tells what is missing; another format is kUnimplemented.
absl::StatusOr<DatasetManifest> DatasetManifestFromJson(absl::string_view json);

// The manifest of `data_root`/`name`. Says so when the root or the dataset is not on this machine.
absl::StatusOr<DatasetManifest> ReadDatasetManifest(const std::string& data_root, const std::string& name);

// Opens every split and compares it with the manifest: lengths and counts, with `hashes` every byte.
// kDataLoss names the file.
absl::Status VerifyDataset(const std::string& directory, const DatasetManifest& manifest, bool hashes);

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_DATA_DATASET_MANIFEST_H_
