#include "client/data/prepare.h"

#include <sys/stat.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/data/copy_file.h"
#include "client/data/corpus.h"
#include "client/data/split_writer.h"
#include "client/data/staging.h"
#include "client/tokenizer/tokenizer_cc.h"
#include "common/file.h"
#include "common/hash.h"
#include "common/ids.h"
#include "common/status.h"
#include "common/version.h"

namespace cherry::client {
namespace {

constexpr char kTrain[] = "train";
constexpr char kValid[] = "valid";
constexpr char kEndOfText[] = "</s>";
constexpr int32_t kEndOfTextId = 2;
constexpr int64_t kBatchBytes = 4 << 20;
constexpr int64_t kTrainingBytes = 1 << 30;

int64_t FileBytes(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 ? info.st_size : 0;
}

absl::Status CheckOptions(const PrepareOptions& options) {
  RETURN_IF_ERROR(ValidateName(options.name, "name"));
  if ((options.vocab == 0) == options.tokenizer.empty()) {
    return InvalidField("FIELD_REQUIRED", "vocab", "give either --vocab or --tokenizer",
                        "--vocab 2048 trains a tokenizer of that size, --tokenizer takes one that exists");
  }
  if (!(options.valid_share > 0 && options.valid_share <= 0.5)) {
    return InvalidField("OUT_OF_RANGE", "valid-share",
                        absl::StrCat("valid-share: ", options.valid_share, " is not in (0, 0.5]"),
                        "give a share like 0.02");
  }
  if (options.line_characters < 0) {
    return InvalidField("OUT_OF_RANGE", "repeated-line-chars",
                        absl::StrCat("repeated-line-chars: ", options.line_characters, " is negative"),
                        "give 0 to keep repeated lines");
  }
  if (options.threads < 0 || options.threads > 1024) {
    return InvalidField("OUT_OF_RANGE", "threads",
                        absl::StrCat("threads: ", options.threads, " is not in 0..1024"),
                        "give 0 for every core");
  }
  return absl::OkStatus();
}

// `--tokenizer`: a file, a directory with one, or a dataset.
absl::StatusOr<std::string> FindTokenizer(const PrepareOptions& options) {
  struct stat info;
  const bool there = stat(options.tokenizer.c_str(), &info) == 0;
  if (there && !S_ISDIR(info.st_mode)) {
    return options.tokenizer;
  }
  std::vector<std::string> candidates;
  if (there) {
    candidates.push_back(absl::StrCat(options.tokenizer, "/", kDatasetTokenizerFile));
  }
  if (ValidateName(options.tokenizer, "tokenizer").ok()) {
    candidates.push_back(absl::StrCat(options.data_root, "/", options.tokenizer, "/", kDatasetTokenizerFile));
  }
  for (const std::string& candidate : candidates) {
    if (Exists(candidate)) {
      return candidate;
    }
  }
  return Error(absl::StatusCode::kNotFound, "TOKENIZER_NOT_FOUND", "tokenizer",
               absl::StrCat("tokenizer: no tokenizer.json at '", options.tokenizer, "'"),
               "give a tokenizer.json, its directory, or the name of a dataset");
}

// Cherry's checkpoints say that token 2 ends a document, and generation stops at it.
absl::Status CheckEndOfText(const Tokenizer& tokenizer, const std::string& path) {
  const auto id = tokenizer.TokenToId(kEndOfText);
  if (id.has_value() && *id == kEndOfTextId) {
    return absl::OkStatus();
  }
  return InvalidField(
      "TOKENIZER_UNSUPPORTED", "tokenizer",
      absl::StrCat(path, ": '", kEndOfText, "' is not token ", kEndOfTextId, ", which ends a document"),
      "train a tokenizer with --vocab, or take one of the Llama family");
}

// One run of PrepareDataset: what its steps hand to each other.
class Preparation {
 public:
  Preparation(const PrepareOptions& options, Staging* staging, Progress* progress)
      : options_(options), staging_(*staging), progress_(*progress) {
    threads_ = options.threads > 0 ? options.threads
                                   : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
    manifest_.code_version = kVersion;
    manifest_.dataset.set_name(options.name);
    manifest_.valid_share = options.valid_share;
    manifest_.line_characters = options.line_characters;
    manifest_.text = options.text;
  }

  absl::Status FromText(const InputList& list);
  absl::Status FromTokens(const std::vector<std::string>& prefixes);

 private:
  std::string Path(absl::string_view file) const { return absl::StrCat(staging_.path(), "/", file); }
  absl::Status Read(const InputList& list);
  absl::Status Clean();
  absl::Status Split();
  absl::Status MakeTokenizer();
  absl::Status TrainTokenizer();
  absl::Status LoadTokenizer();
  absl::Status Encode(const char* name, bool valid);
  absl::Status EncodeBatch(const std::vector<int64_t>& documents, SplitWriter* writer);
  absl::Status AddSplit(absl::StatusOr<v1::Split> split, int64_t text_bytes);
  absl::Status TakeTokens(const std::string& prefix, const std::string& name);
  absl::Status WriteManifest();

  const PrepareOptions& options_;
  const Staging& staging_;
  Progress& progress_;
  int threads_ = 1;
  DatasetManifest manifest_;
  std::unique_ptr<Corpus> corpus_;
  std::vector<bool> valid_;
  std::optional<Tokenizer> tokenizer_;
  int taken_width_ = 0;  // Bytes per token of the first ready-made split.
};

absl::Status Preparation::Read(const InputList& list) {
  int64_t total = 0;
  for (const InputFile& file : list.files) {
    total += FileBytes(file.path);
  }
  progress_.Begin("read", total);
  ASSIGN_OR_RETURN(corpus_, Corpus::Create(Path("text"), options_.line_characters));
  int64_t bytes = 0;
  for (const InputFile& file : list.files) {
    ASSIGN_OR_RETURN(InputRecord record, ReadDocuments(file, options_.text, [&](absl::string_view document) {
                       progress_.Update(std::max(bytes, corpus_->spooled_bytes()));
                       return corpus_->Add(document);
                     }));
    bytes += record.bytes;
    manifest_.inputs.push_back(std::move(record));
  }
  progress_.End(absl::StrCat(
      Grouped(corpus_->counts().documents_read), " documents in ", Grouped(list.files.size()), " files, ",
      HumanBytes(bytes), list.ignored > 0 ? absl::StrCat(" (", list.ignored, " other files ignored)") : ""));
  return absl::OkStatus();
}

absl::Status Preparation::Clean() {
  progress_.Begin("clean", corpus_->spooled_bytes());
  RETURN_IF_ERROR(corpus_->Seal([this](int64_t bytes) { progress_.Update(bytes); }));
  manifest_.counts = corpus_->counts();
  const CorpusCounts& counts = manifest_.counts;
  progress_.End(absl::StrCat(Grouped(counts.repeated_documents), " repeated documents, ",
                             Grouped(counts.repeated_lines), " repeated lines dropped"));
  return absl::OkStatus();
}

absl::Status Preparation::Split() {
  if (corpus_->documents() < 2) {
    return InvalidField("DATASET_TOO_SMALL", "INPUT",
                        absl::StrCat("the input holds ", corpus_->documents(),
                                     " documents, and a split needs 2: one file is one document"),
                        "add files, or split them with --document-separator LINE");
  }
  std::vector<std::pair<ContentHash, int64_t>> documents;
  for (int64_t i = 0; i < corpus_->documents(); ++i) {
    documents.emplace_back(corpus_->hash(i), corpus_->bytes(i));
  }
  valid_ = ChooseValid(documents, options_.valid_share);
  return absl::OkStatus();
}

// Learns from the training split alone: what only validation holds must be new to the tokenizer too.
absl::Status Preparation::TrainTokenizer() {
  absl::StatusOr<TokenizerTrainer> trainer = TokenizerTrainer::Create({options_.vocab, threads_, {}});
  if (!trainer.ok()) {
    return Annotate(trainer.status(), "vocab");
  }
  // Every n-th document of a corpus that is larger than the trainer takes.
  const auto stride = static_cast<uint64_t>(1 + corpus_->spooled_bytes() / kTrainingBytes);
  std::vector<std::string> texts;
  int64_t batch_bytes = 0;
  for (int64_t i = 0; i < corpus_->documents(); ++i) {
    if (!valid_[static_cast<size_t>(i)] && corpus_->hash(i).first % stride == 0) {
      texts.push_back(corpus_->Text(i));
      batch_bytes += corpus_->bytes(i);
    }
    if (batch_bytes >= kBatchBytes || (i + 1 == corpus_->documents() && !texts.empty())) {
      RETURN_IF_ERROR(trainer->Feed(std::vector<absl::string_view>(texts.begin(), texts.end())));
      texts.clear();
      batch_bytes = 0;
    }
  }
  ASSIGN_OR_RETURN(tokenizer_, trainer->Train());
  return tokenizer_->Save(Path(kDatasetTokenizerFile));
}

absl::Status Preparation::LoadTokenizer() {
  ASSIGN_OR_RETURN(const std::string path, FindTokenizer(options_));
  ASSIGN_OR_RETURN(const std::string json, ReadFile(path));
  ASSIGN_OR_RETURN(tokenizer_, Tokenizer::FromJson(json));
  RETURN_IF_ERROR(CheckEndOfText(*tokenizer_, path));
  return WriteFileAtomically(Path(kDatasetTokenizerFile), json);
}

absl::Status Preparation::MakeTokenizer() {
  progress_.Begin("tokenizer", 0);
  manifest_.tokenizer_trained = options_.vocab > 0;
  RETURN_IF_ERROR(options_.vocab > 0 ? TrainTokenizer() : LoadTokenizer());
  ASSIGN_OR_RETURN(*manifest_.dataset.mutable_tokenizer_hash(), HashFile(Path(kDatasetTokenizerFile)));
  const int64_t vocab = tokenizer_->VocabSize();
  manifest_.dataset.set_vocab(static_cast<int32_t>(vocab));
  manifest_.dataset.set_bytes_per_token(BytesPerToken(vocab));
  progress_.End(
      absl::StrCat("vocabulary of ", Grouped(vocab), manifest_.tokenizer_trained ? ", trained" : ""));
  return absl::OkStatus();
}

absl::Status Preparation::EncodeBatch(const std::vector<int64_t>& documents, SplitWriter* writer) {
  std::vector<std::string> texts;
  std::vector<absl::string_view> views;
  texts.reserve(documents.size());
  for (const int64_t document : documents) {
    texts.push_back(corpus_->Text(document));
    views.push_back(texts.back());
  }
  ASSIGN_OR_RETURN(const EncodedBatch encoded, tokenizer_->EncodeBatch(views, threads_));
  std::vector<int32_t> tokens;
  for (size_t i = 0; i < encoded.size(); ++i) {
    tokens.assign(encoded[i].begin(), encoded[i].end());
    tokens.push_back(kEndOfTextId);
    RETURN_IF_ERROR(writer->Add(tokens, {}));
  }
  return absl::OkStatus();
}

absl::Status Preparation::AddSplit(absl::StatusOr<v1::Split> split, int64_t text_bytes) {
  RETURN_IF_ERROR(split.status());
  progress_.End(absl::StrCat(split->name(), ": ", Grouped(split->documents()), " documents, ",
                             Grouped(split->tokens()), " tokens"));
  *manifest_.dataset.add_splits() = *std::move(split);
  manifest_.text_bytes.push_back(text_bytes);
  return absl::OkStatus();
}

absl::Status Preparation::Encode(const char* name, bool valid) {
  int64_t total = 0;
  for (int64_t i = 0; i < corpus_->documents(); ++i) {
    total += valid_[static_cast<size_t>(i)] == valid ? corpus_->bytes(i) : 0;
  }
  progress_.Begin("encode", total);
  ASSIGN_OR_RETURN(std::unique_ptr<SplitWriter> writer,
                   SplitWriter::Create(staging_.path(), name, tokenizer_->VocabSize(), false));
  std::vector<int64_t> batch;
  int64_t batch_bytes = 0;
  int64_t done = 0;
  for (int64_t i = 0; i < corpus_->documents(); ++i) {
    if (valid_[static_cast<size_t>(i)] == valid) {
      batch.push_back(i);
      batch_bytes += corpus_->bytes(i);
    }
    if (batch_bytes >= kBatchBytes || (i + 1 == corpus_->documents() && !batch.empty())) {
      RETURN_IF_ERROR(EncodeBatch(batch, writer.get()));
      done += batch_bytes;
      progress_.Update(done);
      batch.clear();
      batch_bytes = 0;
    }
  }
  return AddSplit(writer->Finish(), total);
}

absl::Status Preparation::WriteManifest() {
  return WriteFileAtomically(Path(kDatasetManifestFile), DatasetManifestToJson(manifest_));
}

absl::Status Preparation::FromText(const InputList& list) {
  RETURN_IF_ERROR(Read(list));
  RETURN_IF_ERROR(Clean());
  RETURN_IF_ERROR(Split());
  RETURN_IF_ERROR(MakeTokenizer());
  RETURN_IF_ERROR(Encode(kTrain, false));
  RETURN_IF_ERROR(Encode(kValid, true));
  corpus_.reset();
  return WriteManifest();
}

absl::Status Preparation::TakeTokens(const std::string& prefix, const std::string& name) {
  progress_.Begin("take", 0);
  for (const char* suffix : {".bin", ".idx"}) {
    RETURN_IF_ERROR(LinkOrCopyFile(prefix + suffix, Path(name + suffix)));
  }
  if (Exists(prefix + kLabelsSuffix)) {
    RETURN_IF_ERROR(LinkOrCopyFile(prefix + kLabelsSuffix, Path(name + kLabelsSuffix)));
  }
  ASSIGN_OR_RETURN(const v1::Split split, MeasureSplit(Path(name), name, tokenizer_->VocabSize()));
  ASSIGN_OR_RETURN(const std::unique_ptr<TokenFile> file, TokenFile::Open(Path(name)));
  manifest_.dataset.set_bytes_per_token(file->bytes_per_token());
  manifest_.inputs.push_back({prefix + ".bin", split.bin_bytes(), split.documents(), split.bin_hash()});
  manifest_.inputs.push_back(
      {prefix + ".idx", FileBytes(prefix + ".idx"), split.documents(), split.idx_hash()});
  if (!split.labels_hash().empty()) {
    manifest_.inputs.push_back(
        {prefix + kLabelsSuffix, split.tokens(), split.documents(), split.labels_hash()});
  }
  return AddSplit(split, 0);
}

absl::Status Preparation::FromTokens(const std::vector<std::string>& prefixes) {
  if (options_.tokenizer.empty()) {
    return InvalidField("FIELD_REQUIRED", "tokenizer",
                        "tokenizer: .bin and .idx need the tokenizer they were made with",
                        "give it with --tokenizer");
  }
  RETURN_IF_ERROR(MakeTokenizer());
  manifest_.valid_share = 0;
  std::vector<std::string> taken;
  for (const std::string& prefix : prefixes) {
    const std::string name = absl::EndsWith(prefix, kValid) ? kValid : kTrain;
    if (std::find(taken.begin(), taken.end(), name) != taken.end()) {
      return InvalidField("INPUT_AMBIGUOUS", "INPUT",
                          absl::StrCat(prefix, ": a second file for the split '", name, "'"),
                          "give at most two: one whose name ends in 'valid', and one other");
    }
    RETURN_IF_ERROR(TakeTokens(prefix, name));
    if (!taken.empty() && manifest_.dataset.bytes_per_token() != taken_width_) {
      return InvalidField("INPUT_AMBIGUOUS", "INPUT",
                          absl::StrCat(prefix, ": ", manifest_.dataset.bytes_per_token(),
                                       " bytes a token, the other split has ", taken_width_),
                          "write both with the same width");
    }
    taken_width_ = manifest_.dataset.bytes_per_token();
    taken.push_back(name);
  }
  return WriteManifest();
}

}  // namespace

absl::StatusOr<DatasetManifest> PrepareDataset(const PrepareOptions& options, Progress* progress) {
  RETURN_IF_ERROR(CheckOptions(options));
  if (!options.force && Exists(absl::StrCat(options.data_root, "/", options.name))) {
    return DatasetExists(options.data_root, options.name);
  }
  ASSIGN_OR_RETURN(const InputList list, ListInputs(options.inputs));
  if (!list.files.empty() && !list.token_prefixes.empty()) {
    return InvalidField("INPUT_AMBIGUOUS", "INPUT", "text and token files cannot make one dataset",
                        "prepare them as two");
  }
  ASSIGN_OR_RETURN(const std::unique_ptr<Staging> staging, Staging::Create(options.data_root, options.name));
  absl::Status status;
  {
    Preparation preparation(options, staging.get(), progress);
    status = list.token_prefixes.empty() ? preparation.FromText(list)
                                         : preparation.FromTokens(list.token_prefixes);
  }
  if (status.ok()) {
    status = staging->Publish(options.force);
  }
  if (absl::IsResourceExhausted(status)) {
    return Error(status.code(), "DISK_FULL", "data-root", status.message(),
                 "free space beneath the data root: preparing needs the size of the text and of the tokens");
  }
  RETURN_IF_ERROR(status);
  return ReadDatasetManifest(options.data_root, options.name);
}

}  // namespace cherry::client
