// SPDX-License-Identifier: Apache-2.0
#include "server/tls/certificate_names.h"

#include <openssl/x509v3.h>

#include <algorithm>
#include <memory>

#include "absl/strings/ascii.h"

namespace lockhost::server {
namespace {

bool IsOfDnsName(char c) { return absl::ascii_isalnum(c) || c == '-' || c == '.' || c == '_'; }
bool IsOfUri(char c) { return absl::ascii_isgraph(c); }

}  // namespace

std::string CanonicalName(NameKind kind, std::string_view name) {
  if (kind == NameKind::kDns) {
    if (!std::all_of(name.begin(), name.end(), IsOfDnsName)) return "";
    return absl::AsciiStrToLower(absl::string_view(name.data(), name.size()));
  }
  const bool has_scheme = name.find(':') != std::string_view::npos;
  return has_scheme && std::all_of(name.begin(), name.end(), IsOfUri) ? std::string(name) : "";
}

std::string CanonicalName(std::string_view name) {
  const bool is_uri = name.find(':') != std::string_view::npos;
  return CanonicalName(is_uri ? NameKind::kUri : NameKind::kDns, name);
}

std::vector<std::string> NamesOf(const X509* certificate) {
  const std::unique_ptr<GENERAL_NAMES, decltype(&GENERAL_NAMES_free)> alternatives(
      static_cast<GENERAL_NAMES*>(
          X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)),
      GENERAL_NAMES_free);
  std::vector<std::string> names;
  // -1 where there are none.
  for (int i = 0; i < sk_GENERAL_NAME_num(alternatives.get()); ++i) {
    const GENERAL_NAME* each = sk_GENERAL_NAME_value(alternatives.get(), i);
    if (each->type != GEN_DNS && each->type != GEN_URI) continue;
    const ASN1_IA5STRING* text = each->d.ia5;
    std::string name = CanonicalName(each->type == GEN_DNS ? NameKind::kDns : NameKind::kUri,
                                     {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                                      static_cast<size_t>(ASN1_STRING_length(text))});
    if (!name.empty()) names.push_back(std::move(name));
  }
  return names;
}

}  // namespace lockhost::server
