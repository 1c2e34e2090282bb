// SPDX-License-Identifier: Apache-2.0
#include "server/config/config.h"

#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>

#include <cerrno>
#include <charconv>
#include <fstream>
#include <functional>
#include <iterator>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "server/tls/certificate_names.h"

namespace lockhost::server {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::TextFormat;
using Place = std::function<std::string(const FieldDescriptor* field)>;

absl::Status Bad(const Place& place, const char* name, absl::string_view what) {
  const FieldDescriptor* field = Config::descriptor()->FindFieldByName(name);
  return absl::InvalidArgumentError(absl::StrCat(place(field), name, ": ", what));
}

absl::Status CheckNumbers(const Config& config, const Place& place) {
  const auto* descriptor = Config::descriptor();
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const FieldDescriptor* field = descriptor->field(i);
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_UINT32) continue;
    const Rule& bounds = field->options().GetExtension(rule);
    const uint32_t value = Config::GetReflection()->GetUInt32(config, field);
    if (value >= bounds.min() && value <= bounds.max()) continue;
    return Bad(place, field->name().c_str(),
               absl::StrCat("must be from ", bounds.min(), " to ", bounds.max()));
  }
  return absl::OkStatus();
}

absl::Status CheckTls(const Tls& tls, const Place& place) {
  if (tls.address().empty() || tls.certificate_file().empty() || tls.key_file().empty() ||
      tls.client_ca_file().empty()) {
    return Bad(place, "tls", "needs address, certificate_file, key_file and client_ca_file");
  }
  std::set<std::string> names;
  for (const TlsGuest& guest : tls.guest()) {
    const std::string name = CanonicalName(guest.certificate_name());
    if (name.empty() || guest.vm().empty()) {
      return Bad(place, "tls", "guest: needs vm, and a DNS name or URI as certificate_name");
    }
    if (!names.insert(name).second) {
      return Bad(place, "tls", absl::StrCat("guest: two have the certificate_name ", name));
    }
  }
  return absl::OkStatus();
}

absl::Status Check(const Config& config, const Place& place) {
  if (absl::Status numbers = CheckNumbers(config, place); !numbers.ok()) return numbers;
  if (config.heartbeat_ms() > config.lease_ms() / 2) {
    return Bad(place, "heartbeat_ms", "must be at most half of lease_ms");
  }
  if (const auto mode = ParseMode(config.socket_mode()); !mode.ok()) {
    return Bad(place, "socket_mode", mode.status().message());
  }
  for (const HybridVsock& hybrid : config.hybrid_vsock()) {
    if (hybrid.vm().empty() || hybrid.path().empty()) {
      return Bad(place, "hybrid_vsock", "needs vm and path");
    }
  }
  return config.has_tls() ? CheckTls(config.tls(), place) : absl::OkStatus();
}

// A field of messages, all of its values.
bool SameMessages(const Config& one, const Config& other, const FieldDescriptor* field) {
  const auto text = [field](const Config& config) {
    Config rest = config;
    std::vector<const FieldDescriptor*> set;
    rest.GetReflection()->ListFields(rest, &set);
    for (const FieldDescriptor* each : set) {
      if (each != field) rest.GetReflection()->ClearField(&rest, each);
    }
    return rest.SerializeAsString();
  };
  return text(one) == text(other);
}

// Keeps the first error; lines and columns count from 1.
class FirstError final : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int line, google::protobuf::io::ColumnNumber column,
                const std::string& message) override {
    if (text_.empty()) text_ = absl::StrCat(line + 1, ":", column + 1, ": ", message);
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

}  // namespace

absl::StatusOr<mode_t> ParseMode(const std::string& text) {
  unsigned mode = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), mode, 8);
  if (error == std::errc() && end == text.data() + text.size() && mode <= 0777) return mode;
  return absl::InvalidArgumentError("must be octal permissions, e.g. 0660");
}

absl::StatusOr<Config> ParseConfig(const std::string& text) {
  FirstError error;
  TextFormat::ParseInfoTree places;
  TextFormat::Parser parser;
  parser.RecordErrorsTo(&error);
  parser.WriteLocationsTo(&places);
  Config config;
  if (!parser.ParseFromString(text, &config)) return absl::InvalidArgumentError(error.text());
  const absl::Status sound = Check(config, [&places](const FieldDescriptor* field) {
    const TextFormat::ParseLocation at = places.GetLocation(field, field->is_repeated() ? 0 : -1);
    // A field that is not in the file is wrong only because of another one.
    return at.line < 0 ? "" : absl::StrCat(at.line + 1, ":", at.column + 1, ": ");
  });
  if (!sound.ok()) return sound;
  return config;
}

absl::StatusOr<Config> ReadConfig(const std::string& path) {
  std::ifstream in(path);
  if (!in) return absl::ErrnoToStatus(errno, absl::StrCat("read ", path));
  absl::StatusOr<Config> config = ParseConfig(
      std::string(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()));
  if (config.ok()) return config;
  return absl::InvalidArgumentError(absl::StrCat(path, ":", config.status().message()));
}

absl::Status CheckConfig(const Config& config) {
  return Check(config, [](const FieldDescriptor*) { return ""; });
}

std::vector<std::string> ChangedFields(const Config& from, const Config& to, Effect effect) {
  std::vector<std::string> names;
  const auto* descriptor = Config::descriptor();
  const auto* reflection = Config::GetReflection();
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const FieldDescriptor* field = descriptor->field(i);
    if (field->options().GetExtension(rule).effect() != effect) continue;
    const bool same = field->cpp_type() == FieldDescriptor::CPPTYPE_UINT32
                          ? reflection->GetUInt32(from, field) == reflection->GetUInt32(to, field)
                      : field->cpp_type() == FieldDescriptor::CPPTYPE_STRING
                          ? reflection->GetString(from, field) == reflection->GetString(to, field)
                          : SameMessages(from, to, field);
    if (!same) names.push_back(field->name());
  }
  // The one part of a block that is not taken over as its rule says.
  const bool moved = from.tls().address() != to.tls().address();
  if (effect == EFFECT_RESTART && moved) names.emplace_back("tls.address");
  return names;
}

}  // namespace lockhost::server
