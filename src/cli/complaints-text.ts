import { type Complaint, complaintText } from "../config/complaint.ts";

/** One line per complaint, for people; for programs one JSON object for all. */
export function complaintsText(complaints: readonly Complaint[], file: string | null, json: boolean): string {
  if (json) return JSON.stringify({ event: "complaints", complaints });
  return complaints.map((complaint) => complaintText(complaint, file ?? "configuration")).join("\n");
}
