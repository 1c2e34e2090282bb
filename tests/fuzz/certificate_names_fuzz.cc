// SPDX-License-Identifier: Apache-2.0
//
// The names of a certificate that a CA has signed without looking. Input: a GeneralNames
// sequence (DER), as the extension for subject alternative names has it.
#include <openssl/x509v3.h>

#include <memory>

#include "absl/strings/ascii.h"
#include "server/tls/certificate_names.h"
#include "tests/fuzz/fuzz_check.h"

namespace lockhost::server {
namespace {

using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;

Certificate WithAlternativeNames(const uint8_t* der, size_t size) {
  Certificate certificate(X509_new(), X509_free);
  const std::unique_ptr<ASN1_OCTET_STRING, decltype(&ASN1_OCTET_STRING_free)> value(
      ASN1_OCTET_STRING_new(), ASN1_OCTET_STRING_free);
  ASN1_OCTET_STRING_set(value.get(), der, static_cast<int>(size));
  X509_EXTENSION* const extension =
      X509_EXTENSION_create_by_NID(nullptr, NID_subject_alt_name, 0, value.get());
  X509_add_ext(certificate.get(), extension, -1);
  X509_EXTENSION_free(extension);
  return certificate;
}

void CheckName(const std::string& name) {
  FUZZ_CHECK(!name.empty());
  bool uri = false;
  for (const char c : name) {
    FUZZ_CHECK(absl::ascii_isgraph(c));
    uri = uri || c == ':';
  }
  for (const char c : name) FUZZ_CHECK(uri || (c != '*' && c != '/' && !absl::ascii_isupper(c)));
  // It is found again under the name that a configuration would have.
  FUZZ_CHECK(CanonicalName(name) == name);
}

}  // namespace
}  // namespace lockhost::server

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto certificate = lockhost::server::WithAlternativeNames(data, size);
  for (const std::string& name : lockhost::server::NamesOf(certificate.get())) {
    lockhost::server::CheckName(name);
  }
  return 0;
}
