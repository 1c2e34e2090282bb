// SPDX-License-Identifier: Apache-2.0
#include "client/cli/doctor/report.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "client/cli/text.h"

namespace lockhost::doctor {
namespace {

constexpr size_t kVerdictWidth = 8;
constexpr size_t kNameWidth = 16;
constexpr size_t kTextWidth = cli::kColumns - kVerdictWidth - 1 - kNameWidth;

const char* Word(Verdict verdict) {
  switch (verdict) {
    case Verdict::kOk:
      return "ok";
    case Verdict::kWarning:
      return "warning";
    case Verdict::kProblem:
      return "problem";
  }
  return "";
}

std::string Coloured(Verdict verdict, const std::string& text) {
  const char* code = verdict == Verdict::kOk ? "32" : verdict == Verdict::kWarning ? "33" : "31";
  return absl::StrCat("\x1b[", code, "m", text, "\x1b[0m");
}

void AppendCheck(const Check& check, bool colour, std::string* out) {
  const std::string margin(kVerdictWidth + 1 + kNameWidth, ' ');
  const std::string verdict = cli::PadRight(Word(check.verdict), kVerdictWidth);
  std::string before = absl::StrCat(colour ? Coloured(check.verdict, verdict) : verdict, " ",
                                    cli::PadRight(check.name, kNameWidth));
  for (const std::string& line : cli::Wrap(cli::Printable(check.finding), kTextWidth)) {
    absl::StrAppend(out, before, line, "\n");
    before = margin;
  }
  if (check.advice.empty()) return;
  before = margin + "> ";
  for (const std::string& line : cli::Wrap(cli::Printable(check.advice), kTextWidth - 2)) {
    absl::StrAppend(out, before, line, "\n");
    before = margin + "  ";
  }
}

size_t Count(const std::vector<Section>& sections, Verdict verdict) {
  size_t count = 0;
  for (const Section& section : sections) {
    for (const Check& check : section.checks) count += check.verdict == verdict ? 1 : 0;
  }
  return count;
}

google::protobuf::Value Text(const std::string& text) {
  google::protobuf::Value value;
  value.set_string_value(cli::Printable(text));
  return value;
}

}  // namespace

bool HintsFlow(const std::vector<Section>& sections) {
  return Count(sections, Verdict::kProblem) == 0;
}

std::string RenderText(const std::vector<Section>& sections, bool colour) {
  std::string out;
  for (const Section& section : sections) {
    absl::StrAppend(&out, absl::AsciiStrToUpper(section.title), "\n");
    for (const Check& check : section.checks) AppendCheck(check, colour, &out);
    out += "\n";
  }
  const std::string warnings = cli::Counted(Count(sections, Verdict::kWarning), "warning");
  if (HintsFlow(sections)) {
    absl::StrAppend(&out, "Nothing here keeps hints from flowing; ", warnings, ".\n");
  } else {
    absl::StrAppend(&out, "Hints may not flow, or not fully: ",
                    cli::Counted(Count(sections, Verdict::kProblem), "problem"), ", ", warnings,
                    ".\n");
  }
  return out;
}

std::string RenderJson(const std::vector<Section>& sections) {
  google::protobuf::Struct report;
  (*report.mutable_fields())["hints_flow"].set_bool_value(HintsFlow(sections));
  auto* list = (*report.mutable_fields())["sections"].mutable_list_value();
  for (const Section& section : sections) {
    auto* fields = list->add_values()->mutable_struct_value()->mutable_fields();
    (*fields)["title"] = Text(section.title);
    auto* checks = (*fields)["checks"].mutable_list_value();
    for (const Check& check : section.checks) {
      auto* entry = checks->add_values()->mutable_struct_value()->mutable_fields();
      (*entry)["verdict"] = Text(Word(check.verdict));
      (*entry)["name"] = Text(check.name);
      (*entry)["finding"] = Text(check.finding);
      (*entry)["advice"] = Text(check.advice);
    }
  }
  std::string json;
  // Cannot fail: the report is printable text and one boolean.
  (void)google::protobuf::util::MessageToJsonString(report, &json);
  return json;
}

}  // namespace lockhost::doctor
