#include "common/manifest.h"

#include <sys/stat.h>

#include <cerrno>
#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/file.h"
#include "common/hash.h"
#include "common/proto_json.h"
#include "common/status.h"
#include "google/protobuf/util/json_util.h"
#include "nlohmann/json.hpp"

namespace cherry {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kFormat = 1;
// Manifests hold names and a spec; anything longer is not one.
constexpr int64_t kMaxManifestBytes = 64 << 20;

absl::Status Bad(absl::string_view what) {
  return absl::DataLossError(absl::StrCat(kManifestFile, ": ", what));
}

// Reads `json[key]` into `out`; a missing key or another type is kDataLoss naming it.
template <typename T>
absl::Status Read(const Json& json, const char* key, T* out) {
  const auto found = json.find(key);
  bool fits = found != json.end();
  if constexpr (std::is_same_v<T, std::string>) {
    fits = fits && found->is_string();
  } else if constexpr (std::is_same_v<T, bool>) {
    fits = fits && found->is_boolean();
  } else {
    fits = fits && found->is_number_integer();
  }
  if (!fits) {
    return Bad(absl::StrCat("'", key, "' is missing or of another type"));
  }
  *out = found->template get<T>();
  return absl::OkStatus();
}

absl::Status ReadOptional(const Json& json, const char* key, std::optional<double>* out) {
  const auto found = json.find(key);
  if (found == json.end() || found->is_null()) {
    return absl::OkStatus();
  }
  if (!found->is_number()) {
    return Bad(absl::StrCat("'", key, "' is not a number"));
  }
  *out = found->get<double>();
  return absl::OkStatus();
}

absl::Status ReadFiles(const Json& json, std::vector<ManifestEntry>* files) {
  const auto found = json.find("files");
  if (found == json.end() || !found->is_array() || found->empty()) {
    return Bad("'files' is missing or empty");
  }
  for (const Json& entry : *found) {
    ManifestEntry file;
    if (!entry.is_object()) {
      return Bad("'files' holds something that is not an object");
    }
    RETURN_IF_ERROR(Read(entry, "name", &file.name));
    RETURN_IF_ERROR(Read(entry, "bytes", &file.bytes));
    RETURN_IF_ERROR(Read(entry, "hash", &file.hash));
    // A manifest may have been tampered with: its names stay in its directory.
    if (file.name.empty() || file.name.find('/') != std::string::npos || file.name[0] == '.') {
      return Bad(absl::StrCat("'", file.name, "' is not a file name"));
    }
    files->push_back(std::move(file));
  }
  return absl::OkStatus();
}

absl::Status ReadSpec(const Json& json, v1::JobSpec* spec) {
  const auto found = json.find("spec");
  if (found == json.end() || !found->is_object()) {
    return Bad("'spec' is missing or not an object");
  }
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  const auto status = google::protobuf::util::JsonStringToMessage(found->dump(), spec, options);
  return status.ok() ? absl::OkStatus() : Bad(absl::StrCat("'spec': ", std::string(status.message())));
}

Json SpecToJson(const v1::JobSpec& spec) {
  const absl::StatusOr<std::string> text = MessageToJson(spec);
  return text.ok() ? Json::parse(*text, nullptr, /*allow_exceptions=*/false) : Json::object();
}

absl::Status CheckFile(const std::string& directory, const ManifestEntry& entry) {
  const std::string path = absl::StrCat(directory, "/", entry.name);
  struct stat info;
  if (lstat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) {
      return absl::DataLossError(absl::StrCat(entry.name, ": missing in ", directory));
    }
    return ErrnoError(errno, path);
  }
  if (!S_ISREG(info.st_mode)) {
    return absl::DataLossError(absl::StrCat(entry.name, ": not a regular file in ", directory));
  }
  if (info.st_size != entry.bytes) {
    return absl::DataLossError(
        absl::StrCat(entry.name, ": ", info.st_size, " bytes are not the manifest's ", entry.bytes));
  }
  ASSIGN_OR_RETURN(const std::string hash, HashFile(path));
  if (hash != entry.hash) {
    return absl::DataLossError(
        absl::StrCat(entry.name, ": checksum ", hash, " is not the manifest's ", entry.hash));
  }
  return absl::OkStatus();
}

}  // namespace

std::string ManifestToJson(const Manifest& manifest) {
  Json json;
  json["format"] = manifest.format;
  json["job_uid"] = manifest.job_uid;
  json["job_name"] = manifest.job_name;
  json["epoch"] = manifest.epoch;
  json["step"] = manifest.step;
  json["tokens"] = manifest.tokens;
  json["target_tokens"] = manifest.target_tokens;
  json["supervised_tokens"] = manifest.supervised_tokens;
  json["sample_cursor"] = manifest.sample_cursor;
  json["world_size"] = manifest.world_size;
  json["threads_per_rank"] = manifest.threads_per_rank;
  json["deterministic"] = manifest.deterministic;
  json["processor"] = manifest.processor;
  json["code_version"] = manifest.code_version;
  if (manifest.loss.has_value()) {
    json["loss"] = *manifest.loss;
  }
  if (manifest.valid_loss.has_value()) {
    json["valid_loss"] = *manifest.valid_loss;
  }
  json["parent"] = manifest.parent;
  Json files = Json::array();
  for (const ManifestEntry& file : manifest.files) {
    files.push_back({{"name", file.name}, {"bytes", file.bytes}, {"hash", file.hash}});
  }
  json["files"] = std::move(files);
  json["spec"] = SpecToJson(manifest.spec);
  // Text from a job file may hold bytes that are not UTF-8; they must not make a checkpoint impossible.
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

absl::StatusOr<Manifest> ManifestFromJson(absl::string_view text) {
  const Json json = Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) {
    return Bad("not a JSON object");
  }
  Manifest manifest;
  RETURN_IF_ERROR(Read(json, "format", &manifest.format));
  if (manifest.format != kFormat) {
    return absl::UnimplementedError(absl::StrCat(kManifestFile, ": format ", manifest.format, " is not ",
                                                 kFormat, ", the one this version reads"));
  }
  RETURN_IF_ERROR(Read(json, "job_uid", &manifest.job_uid));
  RETURN_IF_ERROR(Read(json, "job_name", &manifest.job_name));
  RETURN_IF_ERROR(Read(json, "epoch", &manifest.epoch));
  RETURN_IF_ERROR(Read(json, "step", &manifest.step));
  RETURN_IF_ERROR(Read(json, "tokens", &manifest.tokens));
  if (json.contains("supervised_tokens")) {  // Written since there are evaluations.
    RETURN_IF_ERROR(Read(json, "supervised_tokens", &manifest.supervised_tokens));
    RETURN_IF_ERROR(Read(json, "target_tokens", &manifest.target_tokens));
  }
  RETURN_IF_ERROR(Read(json, "sample_cursor", &manifest.sample_cursor));
  RETURN_IF_ERROR(Read(json, "world_size", &manifest.world_size));
  RETURN_IF_ERROR(Read(json, "threads_per_rank", &manifest.threads_per_rank));
  RETURN_IF_ERROR(Read(json, "deterministic", &manifest.deterministic));
  RETURN_IF_ERROR(Read(json, "processor", &manifest.processor));
  RETURN_IF_ERROR(Read(json, "code_version", &manifest.code_version));
  RETURN_IF_ERROR(Read(json, "parent", &manifest.parent));
  RETURN_IF_ERROR(ReadOptional(json, "loss", &manifest.loss));
  RETURN_IF_ERROR(ReadOptional(json, "valid_loss", &manifest.valid_loss));
  RETURN_IF_ERROR(ReadFiles(json, &manifest.files));
  RETURN_IF_ERROR(ReadSpec(json, &manifest.spec));
  return manifest;
}

absl::StatusOr<Manifest> ReadManifest(const std::string& directory) {
  const std::string path = absl::StrCat(directory, "/", kManifestFile);
  const absl::StatusOr<std::string> text = ReadFile(path, kMaxManifestBytes);
  if (absl::IsNotFound(text.status())) {
    return absl::DataLossError(
        absl::StrCat(kManifestFile, ": missing in ", directory, ": the save never ended"));
  }
  RETURN_IF_ERROR(text.status());
  absl::StatusOr<Manifest> manifest = ManifestFromJson(*text);
  if (!manifest.ok()) {
    return Annotate(manifest.status(), directory);
  }
  return manifest;
}

absl::StatusOr<Manifest> VerifyCheckpoint(const std::string& directory) {
  ASSIGN_OR_RETURN(Manifest manifest, ReadManifest(directory));
  for (const ManifestEntry& entry : manifest.files) {
    RETURN_IF_ERROR(CheckFile(directory, entry));
  }
  return manifest;
}

}  // namespace cherry
