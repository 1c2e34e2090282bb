// SPDX-License-Identifier: Apache-2.0
#include "tests/lab/demo/json_writer.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace lockhost::lab {
namespace {

std::string Quoted(absl::string_view value) {
  std::string out = "\"";
  for (const char c : value) {
    if (c == '"' || c == '\\') {
      absl::StrAppend(&out, "\\", std::string(1, c));
    } else if (static_cast<unsigned char>(c) < 0x20) {
      absl::StrAppendFormat(&out, "\\u%04x", static_cast<unsigned>(c));
    } else {
      out.push_back(c);
    }
  }
  return out + "\"";
}

}  // namespace

void JsonWriter::NewLine() {
  if (!text_.empty()) text_.push_back('\n');
  text_.append(2 * has_members_.size(), ' ');
}

void JsonWriter::Separate() {
  if (after_key_) {
    after_key_ = false;
    return;
  }
  if (has_members_.empty()) return;
  if (has_members_.back()) text_.push_back(',');
  has_members_.back() = true;
  NewLine();
}

JsonWriter& JsonWriter::Key(absl::string_view key) {
  Separate();
  absl::StrAppend(&text_, Quoted(key), ": ");
  after_key_ = true;
  return *this;
}

JsonWriter& JsonWriter::Open(char bracket) {
  Separate();
  text_.push_back(bracket);
  has_members_.push_back(false);
  return *this;
}

JsonWriter& JsonWriter::Close(char bracket) {
  const bool had_members = has_members_.back();
  has_members_.pop_back();
  if (had_members) NewLine();
  text_.push_back(bracket);
  if (has_members_.empty()) text_.push_back('\n');
  return *this;
}

JsonWriter& JsonWriter::Raw(absl::string_view value) {
  Separate();
  absl::StrAppend(&text_, value);
  return *this;
}

JsonWriter& JsonWriter::String(absl::string_view value) { return Raw(Quoted(value)); }
JsonWriter& JsonWriter::Integer(uint64_t value) { return Raw(absl::StrCat(value)); }
JsonWriter& JsonWriter::Integer(std::optional<uint64_t> value) {
  return value.has_value() ? Integer(*value) : Null();
}
JsonWriter& JsonWriter::Number(double value) {
  return std::isfinite(value) ? Raw(absl::StrFormat("%.6g", value)) : Null();
}
JsonWriter& JsonWriter::Number(std::optional<double> value) {
  return value.has_value() ? Number(*value) : Null();
}

}  // namespace lockhost::lab
