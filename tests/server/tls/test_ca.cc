// SPDX-License-Identifier: Apache-2.0
#include "tests/server/tls/test_ca.h"

#include <gtest/gtest.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <cstdio>

namespace lockhost {
namespace {

KeyHandle NewKey() { return {EVP_EC_gen("P-256"), EVP_PKEY_free}; }

void AddExtension(X509* certificate, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
  ASSERT_NE(extension, nullptr) << value;
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

// Signed by nobody yet, and without an issuer.
CertificateHandle NewCertificate(const std::string& common_name, EVP_PKEY* key, long from_s,
                                 long until_s) {
  CertificateHandle certificate(X509_new(), X509_free);
  X509_set_version(certificate.get(), X509_VERSION_3);
  uint32_t serial = 0;
  RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof(serial));
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate.get()), serial);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), from_s);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), until_s);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(common_name.c_str()), -1, -1,
                             0);
  X509_set_pubkey(certificate.get(), key);
  return certificate;
}

void Sign(X509* certificate, const X509* issuer, EVP_PKEY* key) {
  X509_set_issuer_name(certificate, X509_get_subject_name(issuer));
  EXPECT_GT(X509_sign(certificate, key, EVP_sha256()), 0);
}

template <typename Write>
void WriteFile(const std::string& path, Write write) {
  FILE* file = fopen(path.c_str(), "we");
  ASSERT_NE(file, nullptr) << path;
  EXPECT_EQ(write(file), 1);
  fclose(file);
}

void WriteCertificate(const std::string& path, const CertificateHandle& certificate) {
  WriteFile(path, [&](FILE* file) { return PEM_write_X509(file, certificate.get()); });
}

CertificateHandle ReadCertificate(const std::string& path) {
  FILE* file = fopen(path.c_str(), "re");
  EXPECT_NE(file, nullptr) << path;
  CertificateHandle certificate(PEM_read_X509(file, nullptr, nullptr, nullptr), X509_free);
  fclose(file);
  return certificate;
}

}  // namespace

TestCa::TestCa() : key_(NewKey()), certificate_(NewCertificate("CA", key_.get(), -3600, 3600)) {
  AddExtension(certificate_.get(), NID_basic_constraints, "critical,CA:TRUE");
  Sign(certificate_.get(), certificate_.get(), key_.get());
}

void TestCa::Write(const std::string& path) const { WriteCertificate(path, certificate_); }

CertificateFiles TestCa::Issue(const std::string& prefix, const Wish& wish) const {
  KeyHandle key(nullptr, EVP_PKEY_free);
  WriteCertificate(prefix + ".pem", Make(wish, &key));
  WriteFile(prefix + ".key", [&](FILE* file) {
    return PEM_write_PrivateKey(file, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  });
  return {prefix + ".pem", prefix + ".key"};
}

void TestCa::WriteRevoked(const std::string& path, const std::vector<std::string>& certificates,
                          long valid_until_s) const {
  const std::unique_ptr<X509_CRL, decltype(&X509_CRL_free)> list(X509_CRL_new(), X509_CRL_free);
  const std::unique_ptr<ASN1_TIME, decltype(&ASN1_TIME_free)> time(ASN1_TIME_new(), ASN1_TIME_free);
  X509_CRL_set_version(list.get(), X509_CRL_VERSION_2);
  X509_CRL_set_issuer_name(list.get(), X509_get_subject_name(certificate_.get()));
  X509_CRL_set1_lastUpdate(list.get(), X509_gmtime_adj(time.get(), -3600));
  for (const std::string& each : certificates) {
    X509_REVOKED* const revoked = X509_REVOKED_new();
    const CertificateHandle certificate = ReadCertificate(each);
    X509_REVOKED_set_serialNumber(revoked, X509_get_serialNumber(certificate.get()));
    X509_REVOKED_set_revocationDate(revoked, time.get());
    X509_CRL_add0_revoked(list.get(), revoked);
  }
  X509_CRL_set1_nextUpdate(list.get(), X509_gmtime_adj(time.get(), valid_until_s));
  EXPECT_GT(X509_CRL_sign(list.get(), key_.get(), EVP_sha256()), 0);
  WriteFile(path, [&](FILE* file) { return PEM_write_X509_CRL(file, list.get()); });
}

CertificateHandle TestCa::Make(const Wish& wish, KeyHandle* key) const {
  *key = NewKey();
  CertificateHandle certificate =
      NewCertificate(wish.common_name, key->get(), wish.valid_from_s, wish.valid_until_s);
  AddExtension(certificate.get(), NID_ext_key_usage, wish.usage);
  if (!wish.alternative_names.empty()) {
    AddExtension(certificate.get(), NID_subject_alt_name, wish.alternative_names);
  }
  Sign(certificate.get(), certificate_.get(), key_.get());
  return certificate;
}

}  // namespace lockhost
