"""The frozen values that every layer speaks in.

Nothing here does I/O, or knows another voiceid module but `errors`.  ``to_dict()`` of a value is
the public JSON of the command line.
"""

from voiceid.domain.conditions import Band as Band
from voiceid.domain.conditions import Condition as Condition
from voiceid.domain.conditions import band_of as band_of
from voiceid.domain.databases import DatabaseUrl as DatabaseUrl
from voiceid.domain.databases import database_at as database_at
from voiceid.domain.decisions import SCORE_SCALE as SCORE_SCALE
from voiceid.domain.decisions import Candidate as Candidate
from voiceid.domain.decisions import Decision as Decision
from voiceid.domain.decisions import Outcome as Outcome
from voiceid.domain.decisions import Reason as Reason
from voiceid.domain.decisions import Task as Task
from voiceid.domain.decisions import Threshold as Threshold
from voiceid.domain.details import SpeakerDetails as SpeakerDetails
from voiceid.domain.details import expiry as expiry
from voiceid.domain.details import moment as moment
from voiceid.domain.details import tag as tag
from voiceid.domain.enrollments import EnrollmentClip as EnrollmentClip
from voiceid.domain.enrollments import EnrollmentProblem as EnrollmentProblem
from voiceid.domain.enrollments import EnrollmentReport as EnrollmentReport
from voiceid.domain.health import Finding as Finding
from voiceid.domain.health import Health as Health
from voiceid.domain.reviews import Inspection as Inspection
from voiceid.domain.reviews import Likeness as Likeness
from voiceid.domain.reviews import Merge as Merge
from voiceid.domain.reviews import Split as Split
from voiceid.domain.speaker import EMPTY_REVISION as EMPTY_REVISION
from voiceid.domain.speaker import CentroidTable as CentroidTable
from voiceid.domain.speaker import Enrolled as Enrolled
from voiceid.domain.speaker import FeedEntry as FeedEntry
from voiceid.domain.speaker import NewSample as NewSample
from voiceid.domain.speaker import NewSpeakers as NewSpeakers
from voiceid.domain.speaker import Revision as Revision
from voiceid.domain.speaker import Sample as Sample
from voiceid.domain.speaker import Speaker as Speaker
from voiceid.domain.speaker import SpeakerRef as SpeakerRef
from voiceid.domain.speaker import Standing as Standing
from voiceid.domain.speaker import speaker_key as speaker_key
from voiceid.domain.speaker import speaker_name as speaker_name
from voiceid.domain.speech import EmbeddedClip as EmbeddedClip
from voiceid.domain.speech import Embedding as Embedding
from voiceid.domain.speech import EmbeddingSpace as EmbeddingSpace
from voiceid.domain.speech import Float32Array as Float32Array
from voiceid.domain.speech import QualityReport as QualityReport
from voiceid.domain.speech import Utterance as Utterance
from voiceid.domain.switches import ModelSwitch as ModelSwitch
from voiceid.domain.switches import SwitchStatus as SwitchStatus
from voiceid.domain.switches import joined as joined
from voiceid.domain.switches import space_in_use as space_in_use
