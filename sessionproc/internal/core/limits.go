package core

// The settings that a LimitError names. They are on the wire: do not change.
const (
	LimitNodeSessions = "Config.MaxSessions"
	LimitKindSessions = "KindConfig.MaxSessions"
	LimitNodeStarts   = "Config.StartRate"
	LimitKindStarts   = "KindConfig.StartRate"
	LimitMessages     = "KindConfig.MessageRate"
	LimitMemory       = "Config.MemoryMark"
	LimitState        = "KindConfig.MaxState"
	LimitRenewals     = "KindConfig.RenewRate"
	LimitTimers       = "KindConfig.MaxTimers" // stays in its handler, as the next two do
	LimitTasks        = "KindConfig.MaxTasks"
	LimitNodeTasks    = "Config.MaxTasks"
)

// The limits of the labels of a session, in bytes.
const (
	MaxLabelKey   = 64
	MaxLabelValue = 256
)
