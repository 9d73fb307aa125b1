#include "client/data/model_import.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/data/copy_file.h"
#include "client/data/foreign_config.h"
#include "client/data/staging.h"
#include "client/data/tokenizer_facts.h"
#include "client/tokenizer/tokenizer_cc.h"
#include "common/file.h"
#include "common/hash.h"
#include "common/hf_config.h"
#include "common/ids.h"
#include "common/manifest.h"
#include "common/parameter_layout.h"
#include "common/parameter_names.h"
#include "common/safetensors.h"
#include "common/status.h"
#include "common/version.h"
#include "nlohmann/json.hpp"

namespace cherry::client {
namespace {

constexpr char kIndexFile[] = "model.safetensors.index.json";
constexpr char kGenerationFile[] = "generation_config.json";

absl::Status Incomplete(const std::string& path, absl::string_view what, absl::string_view remedy) {
  return Error(absl::StatusCode::kInvalidArgument, "MODEL_INCOMPLETE", "DIR", absl::StrCat(path, ": ", what),
               remedy);
}

// A directory's weights, in one file or in several that an index names.
class ForeignWeights {
 public:
  static absl::StatusOr<ForeignWeights> Open(const std::string& directory);

  // The tensors of `shape`, every one and no other; valid as long as this object.
  absl::StatusOr<std::vector<TensorBytes>> Take(const ModelShape& shape) const;

 private:
  struct Place {
    const SafetensorsFile* file = nullptr;
    TensorInfo tensor;
    std::string path;
  };
  absl::Status Add(const std::string& path);

  std::string directory_;
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::map<std::string, Place> tensors_;
};

absl::Status ForeignWeights::Add(const std::string& path) {
  ASSIGN_OR_RETURN(std::unique_ptr<SafetensorsFile> file, SafetensorsFile::Open(path));
  for (const TensorInfo& tensor : file->tensors()) {
    if (!tensors_.emplace(tensor.name, Place{file.get(), tensor, path}).second) {
      return Incomplete(path, absl::StrCat("tensor ", tensor.name, " is in another file too"),
                        "copy the model again");
    }
  }
  files_.push_back(std::move(file));
  return absl::OkStatus();
}

absl::StatusOr<std::set<std::string>> ReadIndex(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  const auto map = json.is_object() ? json.find("weight_map") : json.end();
  std::set<std::string> names;
  if (map != json.end() && map->is_object()) {
    for (const auto& [tensor, file] : map->items()) {
      names.insert(file.is_string() ? file.get<std::string>() : "");
    }
  }
  for (const std::string& name : names) {
    if (name.empty() || absl::StrContains(name, "/")) {
      return Incomplete(path, absl::StrCat("weight_map: '", name, "' is not a file of the directory"),
                        "copy the model again");
    }
  }
  return names.empty() ? absl::StatusOr<std::set<std::string>>(
                             Incomplete(path, "it has no weight_map", "copy the model again"))
                       : names;
}

absl::StatusOr<ForeignWeights> ForeignWeights::Open(const std::string& directory) {
  ForeignWeights weights;
  weights.directory_ = directory;
  const std::string index = absl::StrCat(directory, "/", kIndexFile);
  const std::string single = absl::StrCat(directory, "/", kModelFile);
  if (Exists(single)) {
    RETURN_IF_ERROR(weights.Add(single));
    return weights;
  }
  if (!Exists(index)) {
    return Incomplete(directory, absl::StrCat("neither ", kModelFile, " nor ", kIndexFile, " is there"),
                      "save the model in safetensors: model.save_pretrained(DIR)");
  }
  ASSIGN_OR_RETURN(const std::set<std::string> names, ReadIndex(index));
  for (const std::string& name : names) {
    const std::string path = absl::StrCat(directory, "/", name);
    if (!Exists(path)) {
      return Incomplete(path, absl::StrCat("no such file, but ", kIndexFile, " names it"),
                        "copy the model again");
    }
    RETURN_IF_ERROR(weights.Add(path));
  }
  return weights;
}

absl::StatusOr<std::vector<TensorBytes>> ForeignWeights::Take(const ModelShape& shape) const {
  std::vector<TensorBytes> taken;
  std::set<std::string> known;
  for (const ParameterSpec& expected : TransformerParameters(shape)) {
    const auto found = tensors_.find(expected.name);
    if (found == tensors_.end()) {
      return Incomplete(directory_, absl::StrCat("tensor ", expected.name, " is missing"),
                        expected.name == kHeadName
                            ? "set tie_word_embeddings in config.json if the embedding is the head"
                            : "copy the model again, with the config.json it was saved with");
    }
    const auto& [file, tensor, path] = found->second;
    if (tensor.shape != expected.shape) {
      return Incomplete(path,
                        absl::StrCat("tensor ", tensor.name, " is [", absl::StrJoin(tensor.shape, ", "),
                                     "], config.json says [", absl::StrJoin(expected.shape, ", "), "]"),
                        "give the config.json that the model was saved with");
    }
    if (tensor.dtype != "F32" && tensor.dtype != "BF16" && tensor.dtype != "F16") {
      return Incomplete(path, absl::StrCat("tensor ", tensor.name, " has the type ", tensor.dtype),
                        "save the model in float32, bfloat16 or float16");
    }
    taken.push_back({tensor.name, tensor.dtype, tensor.shape, file->Data(tensor), tensor.bytes});
    known.insert(tensor.name);
  }
  for (const auto& [name, place] : tensors_) {
    // Old files repeat what follows from the configuration, and a head that is the embedding.
    const bool redundant =
        absl::EndsWith(name, "rotary_emb.inv_freq") || (shape.tied_embeddings && name == kHeadName);
    if (!redundant && known.count(name) == 0) {
      return Incomplete(place.path, absl::StrCat("tensor ", name, " belongs to no model of this config.json"),
                        "import a plain Llama, Qwen2 or Qwen3 model");
    }
  }
  return taken;
}

std::string DtypeName(const std::string& dtype) {
  return dtype == "BF16" ? "bfloat16" : dtype == "F16" ? "float16" : "float32";
}

// Generation ends at any token that the tokenizer, the configuration or the generation's own names; documents
// at the tokenizer's.
void AddEndTokens(const TokenizerFacts& facts, const std::string& generation, ModelShape* shape) {
  std::vector<int32_t> ends = {facts.end_token};
  ends.insert(ends.end(), shape->end_tokens.begin(), shape->end_tokens.end());
  const nlohmann::json json = nlohmann::json::parse(generation, nullptr, /*allow_exceptions=*/false);
  if (json.is_object() && json.contains("eos_token_id")) {
    const nlohmann::json& end = json["eos_token_id"];
    for (const nlohmann::json& token : end.is_array() ? end : nlohmann::json::array({end})) {
      if (token.is_number_integer()) {
        ends.push_back(token.get<int32_t>());
      }
    }
  }
  shape->begin_token = facts.begin_token;
  shape->end_tokens.clear();
  for (const int32_t token : ends) {
    if (std::find(shape->end_tokens.begin(), shape->end_tokens.end(), token) == shape->end_tokens.end()) {
      shape->end_tokens.push_back(token);
    }
  }
}

class Import {
 public:
  explicit Import(const ImportOptions& options) : options_(options) {}

  absl::StatusOr<v1::Model> Run();

 private:
  std::string From(absl::string_view name) const { return absl::StrCat(options_.source, "/", name); }
  absl::Status ReadSource();
  absl::Status WriteFiles(const std::string& directory, Manifest* manifest) const;
  absl::Status Note(const std::string& directory, const char* name, Manifest* manifest) const;

  const ImportOptions& options_;
  ModelShape shape_;
  std::string dtype_;
  ForeignWeights weights_;
  std::vector<TensorBytes> tensors_;
};

absl::Status Import::ReadSource() {
  for (const char* name : {kConfigFile, kTokenizerFile}) {
    if (!Exists(From(name))) {
      return Incomplete(options_.source, absl::StrCat("no ", name),
                        name == absl::string_view(kConfigFile)
                            ? "give the directory that save_pretrained wrote"
                            : "write it with AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)");
    }
  }
  ASSIGN_OR_RETURN(const std::string config, ReadFile(From(kConfigFile)));
  ASSIGN_OR_RETURN(shape_, ParseForeignConfig(config, From(kConfigFile)));
  ASSIGN_OR_RETURN(const Tokenizer tokenizer, Tokenizer::Load(From(kTokenizerFile)));
  ASSIGN_OR_RETURN(const TokenizerFacts facts, ReadTokenizerFacts(tokenizer, From(kTokenizerFile)));
  if (tokenizer.VocabSize() > shape_.vocab) {
    return Incomplete(
        From(kTokenizerFile),
        absl::StrCat("it has tokens up to ", tokenizer.VocabSize() - 1, ", the model ", shape_.vocab),
        "give the tokenizer that the model was trained with");
  }
  std::string generation;
  if (Exists(From(kGenerationFile))) {
    ASSIGN_OR_RETURN(generation, ReadFile(From(kGenerationFile)));
  }
  AddEndTokens(facts, generation, &shape_);
  ASSIGN_OR_RETURN(weights_, ForeignWeights::Open(options_.source));
  ASSIGN_OR_RETURN(tensors_, weights_.Take(shape_));
  dtype_ = DtypeName(tensors_.front().dtype);
  return absl::OkStatus();
}

absl::Status Import::Note(const std::string& directory, const char* name, Manifest* manifest) const {
  const std::string path = absl::StrCat(directory, "/", name);
  ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path));
  manifest->files.push_back({name, static_cast<int64_t>(bytes.size()), HashBytes(bytes)});
  return absl::OkStatus();
}

absl::Status Import::WriteFiles(const std::string& directory, Manifest* manifest) const {
  const auto to = [&](absl::string_view name) { return absl::StrCat(directory, "/", name); };
  ASSIGN_OR_RETURN(WrittenFile weights, WriteSafetensors(to(kModelFile), tensors_, {{"format", "pt"}}));
  manifest->files.push_back({kModelFile, weights.bytes, std::move(weights.hash)});
  RETURN_IF_ERROR(WriteFileAtomically(to(kConfigFile), HfConfig(shape_, 0, dtype_)));
  RETURN_IF_ERROR(Note(directory, kConfigFile, manifest));
  for (const char* name : kTokenizerFiles) {
    if (Exists(From(name))) {
      RETURN_IF_ERROR(CopyFile(From(name), to(name)));
      RETURN_IF_ERROR(Note(directory, name, manifest));
    }
  }
  return WriteFileAtomically(to(kManifestFile), ManifestToJson(*manifest));
}

absl::StatusOr<v1::Model> Import::Run() {
  RETURN_IF_ERROR(ValidateName(options_.name, "name"));
  RETURN_IF_ERROR(ValidateName(options_.ns, "namespace"));
  RETURN_IF_ERROR(ReadSource());
  constexpr int kSuffix = 8;
  const std::string directory = absl::StrCat(options_.ns, "/models");
  const std::string leaf = absl::StrCat(options_.name, "-", RandomSuffix(kSuffix));
  const std::string root = absl::StrCat(options_.checkpoint_root, "/", directory);
  RETURN_IF_ERROR(MakeDirectories(root));
  v1::Model model;
  model.set_name(ModelResource(options_.ns, options_.name));
  model.set_uid(NewUuid());
  model.set_path(absl::StrCat(directory, "/", leaf));
  model.set_dtype(dtype_);
  *model.mutable_config() = ToConfig(shape_);
  model.set_parameters(CountParameters(shape_));
  Manifest manifest;
  manifest.job_uid = model.uid();
  manifest.job_name = model.name();
  manifest.code_version = kVersion;
  manifest.spec.set_kind(v1::JobSpec::PRETRAIN);
  manifest.spec.set_name(options_.name);
  manifest.spec.set_namespace_(options_.ns);
  *manifest.spec.mutable_model() = model.config();
  ASSIGN_OR_RETURN(const std::unique_ptr<Staging> staging, Staging::Create(root, leaf));
  RETURN_IF_ERROR(WriteFiles(staging->path(), &manifest));
  RETURN_IF_ERROR(staging->Publish(/*replace=*/false));
  for (const ManifestEntry& file : manifest.files) {
    model.set_bytes(model.bytes() + file.bytes);
  }
  return model;
}

}  // namespace

absl::StatusOr<v1::Model> ImportModel(const ImportOptions& options) {
  absl::StatusOr<v1::Model> model = Import(options).Run();
  if (absl::IsResourceExhausted(model.status())) {
    return Error(model.status().code(), "DISK_FULL", "checkpoint-root", model.status().message(),
                 "free space beneath the checkpoint root: an import needs the size of the weights");
  }
  return model;
}

}  // namespace cherry::client
