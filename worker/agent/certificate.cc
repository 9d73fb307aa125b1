#include "worker/agent/certificate.h"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <ctime>
#include <memory>

#include "absl/strings/str_cat.h"
#include "common/file.h"
#include "common/status.h"

namespace cherry::worker {

absl::StatusOr<absl::Time> CertificateExpiry(const std::string& pem_file) {
  constexpr int64_t kMaxBytes = 1 << 20;
  ASSIGN_OR_RETURN(const std::string pem, ReadFile(pem_file, kMaxBytes));
  const std::unique_ptr<BIO, decltype(&BIO_free_all)> bytes(
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free_all);
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(
      PEM_read_bio_X509(bytes.get(), nullptr, nullptr, nullptr), X509_free);
  std::tm end = {};
  if (certificate == nullptr || ASN1_TIME_to_tm(X509_get0_notAfter(certificate.get()), &end) != 1) {
    return absl::InvalidArgumentError(absl::StrCat(pem_file, ": no certificate in PEM form"));
  }
  return absl::FromTM(end, absl::UTCTimeZone());
}

}  // namespace cherry::worker
