BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0002');
CREATE TABLE centroids (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	speaker_id INTEGER NOT NULL, 
	space_id VARCHAR NOT NULL, 
	vector BLOB NOT NULL, 
	n_samples INTEGER NOT NULL, 
	n_narrowband INTEGER NOT NULL, 
	net_speech_s FLOAT NOT NULL, 
	CONSTRAINT fk_centroids_speaker_id_speakers FOREIGN KEY(speaker_id) REFERENCES speakers (id) ON DELETE CASCADE, 
	CONSTRAINT fk_centroids_space_id_embedding_spaces FOREIGN KEY(space_id) REFERENCES embedding_spaces (id), 
	CONSTRAINT ck_centroids_vector_float32 CHECK (length(vector) % 4 = 0 AND length(vector) > 0), 
	CONSTRAINT uq_centroids_speaker_id_space_id UNIQUE (speaker_id, space_id), 
	CONSTRAINT ck_centroids_n_samples_positive CHECK (n_samples > 0)
);
INSERT INTO "centroids" VALUES(1,1,'test-d6d3becff8a6',X'4665ECBD851A933C8BFD6A3E2E8B35BFCDE4A93D355902BCEE6B833D30452A3E680B5C3E0CCE413BD0755E3E73EA86BCB9FEB3BDBB8EA7BCDF6AA9BDB5F5A7BD0C540F3EB5151E3E5914B9BDCC83A9BEFDA89A3DED31393E5735E23C40758D3E',2,0,4.5);
INSERT INTO "centroids" VALUES(3,3,'test-d6d3becff8a6',X'A3AA46BE3F8DC1BB239AD5BD5DC4ADBEFE25BEBEF102943E3680F23DFC0D4A3ED114113D0E724D3E31EF523E62BAA3BDD920E13DA7F527BE485118BD5207BDBDEE31823EE7B2D4BE9F77C33ECEFA12BE9A35CEBD406A8F3D76607A3DBD63723C',2,0,4.5);
INSERT INTO "centroids" VALUES(4,3,'test-10bfbe79771a',X'79D346BE510D39BCC0E42EBD5250413E36DD543EF11A32BE768712BED9E90DBE3BF2B3BE35C91DBE932DC5BCC04A383E4916B03E819A57BE1EF5123EBC17EDBDDF5F0A3F1FEE4FBCA2ED053EE7B179BE873A58BEAB2F573D17DFCCBDA875BC3D',1,0,2.25);
CREATE TABLE changes (
	revision INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	centroid_id INTEGER NOT NULL, 
	token VARCHAR(16) NOT NULL
);
INSERT INTO "changes" VALUES(1,1,'2eca0573bd7e2d84');
INSERT INTO "changes" VALUES(2,2,'21ae85ebf2ce4195');
INSERT INTO "changes" VALUES(3,3,'e69ae45c1b26746d');
INSERT INTO "changes" VALUES(4,4,'3297a9a9319788eb');
INSERT INTO "changes" VALUES(5,2,'51da46d7201df480');
CREATE TABLE embedding_spaces (
	id VARCHAR NOT NULL, 
	dim INTEGER NOT NULL, 
	facts TEXT NOT NULL, 
	CONSTRAINT pk_embedding_spaces PRIMARY KEY (id), 
	CONSTRAINT ck_embedding_spaces_dim_positive CHECK (dim > 0)
);
INSERT INTO "embedding_spaces" VALUES('test-d6d3becff8a6',24,'{"id": "test-d6d3becff8a6", "model": "test", "dim": 24, "weights_sha256": "0000000000000000000000000000000000000000000000000000000000000000", "frontend": "none v1", "windowing": "whole", "speech": "none"}');
INSERT INTO "embedding_spaces" VALUES('test-10bfbe79771a',24,'{"id": "test-10bfbe79771a", "model": "test", "dim": 24, "weights_sha256": "1111111111111111111111111111111111111111111111111111111111111111", "frontend": "none v1", "windowing": "whole", "speech": "none"}');
CREATE TABLE memberships (
	group_name VARCHAR NOT NULL, 
	speaker_id INTEGER NOT NULL, 
	CONSTRAINT pk_memberships PRIMARY KEY (group_name, speaker_id), 
	CONSTRAINT fk_memberships_speaker_id_speakers FOREIGN KEY(speaker_id) REFERENCES speakers (id) ON DELETE CASCADE
);
INSERT INTO "memberships" VALUES('staff',1);
INSERT INTO "memberships" VALUES('night',1);
CREATE TABLE samples (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	speaker_id INTEGER NOT NULL, 
	space_id VARCHAR NOT NULL, 
	vector BLOB NOT NULL, 
	pcm_sha256 VARCHAR(64) NOT NULL, 
	source_name VARCHAR NOT NULL, 
	net_speech_s FLOAT NOT NULL, 
	quality TEXT NOT NULL, 
	overrides TEXT NOT NULL, 
	created_at VARCHAR NOT NULL, label VARCHAR DEFAULT '' NOT NULL, 
	CONSTRAINT fk_samples_speaker_id_speakers FOREIGN KEY(speaker_id) REFERENCES speakers (id) ON DELETE CASCADE, 
	CONSTRAINT fk_samples_space_id_embedding_spaces FOREIGN KEY(space_id) REFERENCES embedding_spaces (id), 
	CONSTRAINT ck_samples_vector_float32 CHECK (length(vector) % 4 = 0 AND length(vector) > 0), 
	CONSTRAINT uq_samples_speaker_id_space_id_pcm_sha256 UNIQUE (speaker_id, space_id, pcm_sha256), 
	CONSTRAINT ck_samples_pcm_sha256_hex CHECK (length(pcm_sha256) = 64)
);
INSERT INTO "samples" VALUES(1,1,'test-d6d3becff8a6',X'5C283E3D527303BEF7BCCFBDA77B19BF0747E23E2BDB8F3E6EA9A3BDE594423E376D8D3DB2430BBEC3D1753E6E2F9CBD4F5FA5BD853147BEC9CEE43D118EC7BC531E093EDEAE18BE2723FF3C195F60BE5398533E28223D3D3E40A63D6B73CE3D','682c8d77fccd1bef209cf2ebd491b9991c80fd23ade28c8143dc55b340e0045a','clip.wav',2.25,'{"duration_s": 3.5, "net_speech_s": 2.25, "snr_db": 31.5, "clipped_fraction": 0.0, "bandwidth_hz": 7400.0, "sample_rate_hz": 16000, "level_dbfs": -21.5, "warnings": ["noisy"]}','[]','2026-11-24T21:25:02.740441+00:00','phone');
INSERT INTO "samples" VALUES(2,1,'test-d6d3becff8a6',X'7C5248BE02381B3E24CFCB3E925CA2BE4D60ABBE141F95BED5C4263ED814CC3C85B7553EBF2D0F3EDDEE263D9D2C613D579406BDCA1E2C3E0BE65FBE6F37A7BDA697403D0F83B23E608217BEF3DB55BEA646DFBDA819403E9A4D3ABD7D3C833E','880bdca587407ceedf9de127950a00e624cf366131aa2dd71f0be1066792706e','clip.wav',2.25,'{"duration_s": 3.5, "net_speech_s": 2.25, "snr_db": 31.5, "clipped_fraction": 0.0, "bandwidth_hz": 7400.0, "sample_rate_hz": 16000, "level_dbfs": -21.5, "warnings": ["noisy"]}','[]','2026-11-24T21:25:02.740441+00:00','phone');
INSERT INTO "samples" VALUES(4,3,'test-d6d3becff8a6',X'3ADA46BE520E003E112BA4BCD705A8BED8246DBED2B1EC3E85E3BD3DE821DF3DB23294BD86CD38BED1E86E3EA444E0BC0D654BBECAC00FBDB2A572BECEAE4B3D3848973E170560BEA261BF3EA8E132BEA36B243DC31960BE942E6EBD52394B3C','fea83927b59d6d7edb0ecbb21c5f1f83ad55767bd9c32d45a657720a1c064772','clip.wav',2.25,'{"duration_s": 3.5, "net_speech_s": 2.25, "snr_db": 31.5, "clipped_fraction": 0.0, "bandwidth_hz": 7400.0, "sample_rate_hz": 16000, "level_dbfs": -21.5, "warnings": ["noisy"]}','[]','2026-11-24T21:25:02.756480+00:00','');
INSERT INTO "samples" VALUES(5,3,'test-d6d3becff8a6',X'C50EA9BD01AF08BE60D203BECCAE1FBEAEA898BE5F8C4CBDBB049C3DDBA5303ED6ABFB3D48EDEE3E24E2773D387AB1BDA4FAB53E5FA44BBE87543C3ECCBC39BE9CB8893D2363BFBE70DF2E3EC52EF6BCE52C3CBE5631A33EB6D4143E52860E3C','52463204460c69365adf407f970fc10019db939ef333d789518049c13246162b','clip.wav',2.25,'{"duration_s": 3.5, "net_speech_s": 2.25, "snr_db": 31.5, "clipped_fraction": 0.0, "bandwidth_hz": 7400.0, "sample_rate_hz": 16000, "level_dbfs": -21.5, "warnings": ["noisy"]}','[]','2026-11-24T21:25:02.756480+00:00','');
INSERT INTO "samples" VALUES(6,3,'test-10bfbe79771a',X'79D346BE510D39BCC0E42EBD5250413E36DD543EF11A32BE768712BED9E90DBE3BF2B3BE35C91DBE932DC5BCC04A383E4916B03E819A57BE1EF5123EBC17EDBDDF5F0A3F1FEE4FBCA2ED053EE7B179BE873A58BEAB2F573D17DFCCBDA875BC3D','07b1aae2cac5de447cd89e02a051b6a19b83444ac44113780402cc2b75ffafa1','clip.wav',2.25,'{"duration_s": 3.5, "net_speech_s": 2.25, "snr_db": 31.5, "clipped_fraction": 0.0, "bandwidth_hz": 7400.0, "sample_rate_hz": 16000, "level_dbfs": -21.5, "warnings": ["noisy"]}','[]','2026-11-24T21:25:02.759352+00:00','');
CREATE TABLE speakers (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	name VARCHAR NOT NULL, 
	name_key VARCHAR NOT NULL, 
	created_at VARCHAR NOT NULL, 
	updated_at VARCHAR NOT NULL, metadata TEXT DEFAULT '{}' NOT NULL, expires_at VARCHAR, disabled_at VARCHAR, 
	CONSTRAINT uq_speakers_name_key UNIQUE (name_key)
);
INSERT INTO "speakers" VALUES(1,'alice','alice','2026-11-24T21:25:02.737124+00:00','2026-11-24T21:25:02.762348+00:00','{"badge": "17"}',NULL,NULL);
INSERT INTO "speakers" VALUES(3,'carol','carol','2026-11-24T21:25:02.755444+00:00','2026-11-24T21:25:02.764976+00:00','{}','2027-01-01T00:00:00+00:00','2026-11-24T21:25:02.765008+00:00');
CREATE INDEX ix_samples_pcm_sha256 ON samples (pcm_sha256);
CREATE TRIGGER samples_are_immutable BEFORE UPDATE ON samples BEGIN SELECT RAISE(ABORT, 'samples are immutable'); END;
CREATE INDEX ix_centroids_space_id ON centroids (space_id);
CREATE INDEX ix_memberships_speaker_id ON memberships (speaker_id);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('speakers',3);
INSERT INTO "sqlite_sequence" VALUES('samples',6);
INSERT INTO "sqlite_sequence" VALUES('centroids',4);
INSERT INTO "sqlite_sequence" VALUES('changes',5);
COMMIT;
