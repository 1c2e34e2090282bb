// SPDX-License-Identifier: Apache-2.0
//
// A certificate authority of the test's own, made when the test runs.
#ifndef LOCKHOST_TESTS_SERVER_TLS_TEST_CA_H_
#define LOCKHOST_TESTS_SERVER_TLS_TEST_CA_H_

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <vector>

namespace lockhost {

using CertificateHandle = std::unique_ptr<X509, decltype(&X509_free)>;
using KeyHandle = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

// PEM.
struct CertificateFiles {
  std::string certificate;
  std::string key;
};

class TestCa {
 public:
  struct Wish {
    std::string alternative_names = "";  // "DNS:a.example,URI:spiffe://b"; empty: none
    std::string common_name = "somebody";
    const char* usage = "clientAuth";
    long valid_from_s = -3600;  // seconds from now
    long valid_until_s = 3600;
  };

  TestCa();

  // Writes its own certificate there.
  void Write(const std::string& path) const;
  // Writes PREFIX.pem and PREFIX.key.
  CertificateFiles Issue(const std::string& prefix, const Wish& wish) const;
  // Writes its list of revoked certificates, which names those in these files.
  void WriteRevoked(const std::string& path, const std::vector<std::string>& certificates,
                    long valid_until_s = 3600) const;
  // A certificate for a new key, which goes to `key`.
  CertificateHandle Make(const Wish& wish, KeyHandle* key) const;

 private:
  KeyHandle key_;
  CertificateHandle certificate_;
};

}  // namespace lockhost

#endif  // LOCKHOST_TESTS_SERVER_TLS_TEST_CA_H_
