#include "common/ids.h"

#include <sys/random.h>

#include <cctype>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "common/status.h"

namespace cherry {
namespace {

void FillRandom(void* out, size_t size) {
  // Requests of at most 256 bytes never fail or fall short once the pool is ready.
  if (getrandom(out, size, 0) != static_cast<ssize_t>(size)) {
    std::abort();
  }
}

absl::StatusOr<JobName> ParseName(absl::string_view resource, absl::string_view collection, const char* what,
                                  const char* remedy) {
  const std::vector<std::string> parts = absl::StrSplit(resource, '/');
  if (parts.size() != 4 || parts[0] != "namespaces" || parts[2] != collection) {
    return InvalidField("NAME_INVALID", "name",
                        absl::StrCat("name: '", resource.substr(0, 200), "' is not ", what), remedy);
  }
  RETURN_IF_ERROR(ValidateName(parts[1], "namespace"));
  RETURN_IF_ERROR(ValidateName(parts[3], "name"));
  return JobName{parts[1], parts[3]};
}

}  // namespace

std::string NewUuid() {
  uint8_t b[16];
  FillRandom(b, sizeof(b));
  b[6] = (b[6] & 0x0f) | 0x40;
  b[8] = (b[8] & 0x3f) | 0x80;
  return absl::StrFormat("%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
                         b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
                         b[15]);
}

std::string RandomSuffix(int length) {
  static constexpr char kAlphabet[] = "abcdefghijklmnopqrstuvwxyz0123456789";
  std::string suffix;
  for (int i = 0; i < length; ++i) {
    uint32_t random;
    FillRandom(&random, sizeof(random));
    suffix.push_back(kAlphabet[random % 36]);
  }
  return suffix;
}

absl::Status ValidateName(absl::string_view name, absl::string_view field) {
  bool valid = !name.empty() && name.size() <= 63 && absl::ascii_islower(name[0]) && name.back() != '-';
  for (const char c : name) {
    valid = valid && (absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '-');
  }
  if (valid) {
    return absl::OkStatus();
  }
  return InvalidField(
      "NAME_INVALID", field, absl::StrCat(field, ": '", name.substr(0, 80), "' is not a valid name"),
      "use 1 to 63 lower-case letters, digits and '-', starting with a letter and not ending in '-'");
}

std::string JobName::Resource() const { return absl::StrCat("namespaces/", ns, "/jobs/", job); }

absl::StatusOr<JobName> ParseJobName(absl::string_view resource) {
  return ParseName(resource, "jobs", "a job's name", "give namespaces/NAMESPACE/jobs/JOB");
}

std::string ModelResource(absl::string_view ns, absl::string_view model) {
  return absl::StrCat("namespaces/", ns, "/models/", model);
}

absl::StatusOr<JobName> ParseModelName(absl::string_view resource) {
  return ParseName(resource, "models", "a model's name", "give namespaces/NAMESPACE/models/MODEL");
}

bool IsUuid(absl::string_view text) {
  constexpr absl::string_view kForm = "00000000-0000-0000-0000-000000000000";
  bool valid = text.size() == kForm.size();
  for (size_t i = 0; valid && i < text.size(); ++i) {
    valid = kForm[i] == '-' ? text[i] == '-' : absl::ascii_isxdigit(static_cast<unsigned char>(text[i])) != 0;
  }
  return valid;
}

}  // namespace cherry
